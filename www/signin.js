import { byId } from "./dom.js";

const SHORTEST_PASSWORD = 6;

/** The form that signs in an existing user or creates a new one, or the demo user `demoUser` with one press. */
export function signInForm(auth, demoUser) {
  const form = byId("sign-in");
  const email = byId("email");
  const password = byId("password");
  const problem = byId("sign-in-problem");
  const submit = byId("sign-in-submit");
  const modes = [...form.querySelectorAll("[data-mode]")];
  let creating = false;

  function complain(text, field) {
    problem.textContent = text;
    for (const input of [email, password]) input.ariaInvalid = input === field ? "true" : null;
    field?.focus();
  }

  function choose(mode) {
    creating = mode === "up";
    for (const button of modes) button.ariaPressed = String(button.dataset.mode === mode);
    submit.textContent = creating ? "Create account" : "Sign in";
    password.autocomplete = creating ? "new-password" : "current-password";
    complain("");
  }

  for (const button of modes) button.addEventListener("click", () => choose(button.dataset.mode));

  const demo = byId("demo-sign-in");
  byId("demo").hidden = demoUser === undefined;
  demo.textContent = `Continue as ${demoUser}`;
  demo.addEventListener("click", async () => {
    complain("");
    demo.disabled = true;
    await auth.signInAsDemo().catch((error) => complain(error.message));
    demo.disabled = false;
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    email.value = email.value.trim();
    if (!email.value || !email.checkValidity()) return complain("Enter your e-mail address.", email);
    if (!password.value) return complain("Enter your password.", password);
    if (creating && password.value.length < SHORTEST_PASSWORD) {
      return complain(`Choose a password of at least ${SHORTEST_PASSWORD} characters.`, password);
    }
    complain("");
    submit.disabled = true;
    form.ariaBusy = "true";
    try {
      await (creating ? auth.signUp(email.value, password.value) : auth.signIn(email.value, password.value));
      password.value = "";
    } catch (error) {
      complain(error.message, error.code === "invalid_credentials" ? password : undefined);
    } finally {
      submit.disabled = false;
      form.ariaBusy = null;
    }
  });

  return {
    /** Ready for the next user; `why` says what ended the last session, if it was not the user. */
    open(why = "") {
      choose("in");
      complain(why);
      email.focus();
    },
  };
}
