// What a test needs in a page that may fetch nothing: the client with the module inside the script, and a scripted world.
import { createClient } from "behest-client/inline";
import { World } from "behest-client/testing";

globalThis.app = { createClient, World };
