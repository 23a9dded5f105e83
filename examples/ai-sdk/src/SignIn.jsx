import { useState } from "react";

import { supabase } from "./clients.js";

/** As every Supabase app has it. */
export function SignIn() {
  const [problem, setProblem] = useState("");

  async function signIn(event) {
    event.preventDefault();
    const { email, password } = Object.fromEntries(new FormData(event.target));
    const { error } = await supabase.auth.signInWithPassword({ email, password });
    setProblem(error?.message ?? "");
  }

  return (
    <form onSubmit={signIn}>
      <label>
        Email <input name="email" type="email" required />
      </label>
      <label>
        Password <input name="password" type="password" required />
      </label>
      <button>Sign in</button>
      <p role="alert">{problem}</p>
    </form>
  );
}
