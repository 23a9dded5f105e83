import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { Chat } from "./Chat.jsx";
import { SignIn } from "./SignIn.jsx";
import { useSession } from "./useSession.js";

function App() {
  const session = useSession();
  return session ? <Chat key={session.user.id} /> : <SignIn />;
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
