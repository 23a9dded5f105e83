import { createClient } from "behest-client";

globalThis.app = { createClient };
