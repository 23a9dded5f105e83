import { BehestProvider } from "behest-client/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { Chat } from "./Chat.jsx";
import { SignIn } from "./SignIn.jsx";
import { behest } from "./clients.js";
import { useSession } from "./useSession.js";

function App() {
  const session = useSession();
  // Another user is another chat.
  return session ? <Chat key={session.user.id} /> : <SignIn />;
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <BehestProvider client={behest}>
      <App />
    </BehestProvider>
  </StrictMode>,
);
