// The hooks in a page: React as the test names it, the package as it is packed, and a scripted world.
import { BehestProvider, useBehestChat, useBehestThreads, useBehestUsage } from "behest-client/react";
import * as lab from "behest-client/testing";
import { StrictMode, createElement, useEffect, useState, version } from "react";
import { createRoot } from "react-dom/client";
import { renderToString } from "react-dom/server.browser";

import { chats, setting, until } from "./scripted.js";

/** Renders `use()` in StrictMode; `seen.now` is what it gave last. */
function mount(behest, use, props = {}) {
  const seen = { renders: 0, set: undefined };
  function Probe() {
    const [current, set] = useState(props);
    const given = use(current);
    // What is rendered may be given up; what is on the page counts.
    useEffect(() => {
      seen.set = set;
      seen.now = given;
      seen.renders += 1;
    });
    return null;
  }
  const root = createRoot(document.createElement("div"));
  root.render(
    <StrictMode>
      <BehestProvider client={behest}>
        <Probe />
      </BehestProvider>
    </StrictMode>,
  );
  return { seen, unmount: () => root.unmount() };
}

globalThis.app = {
  version,
  setting,
  mount,
  until,
  chats,
  lab,
  useBehestChat,
  useBehestThreads,
  useBehestUsage,
  renderToString,
  StrictMode,
  BehestProvider,
  createElement,
};
