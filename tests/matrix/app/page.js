import { prove } from "./prove.js";

const settings = JSON.parse(new URLSearchParams(location.search).get("settings"));
const show = (result) => (document.body.dataset.result = JSON.stringify(result));
prove(settings).then(show, (error) => show({ error: String(error), cause: String(error.cause) }));
