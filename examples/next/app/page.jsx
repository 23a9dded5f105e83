"use client";

import { BehestProvider } from "behest-client/react";

import { Chat } from "./Chat.jsx";
import { SignIn } from "./SignIn.jsx";
import { behest } from "./clients.js";
import { useSession } from "./useSession.js";

export default function Page() {
  const session = useSession();
  return <BehestProvider client={behest}>{session ? <Chat key={session.user.id} /> : <SignIn />}</BehestProvider>;
}
