/** Tabs of one origin that act at one moment: whoever is told over the debugger starts when its turn comes. */

/** Has the function `renew` of every tab's page run as soon as `starter`, a further tab, says so. Gives what came of each. */
export async function renewAtOnce(starter, tabs) {
  for (const tab of tabs) {
    await tab.evaluate(() => {
      const channel = new BroadcastChannel("start");
      globalThis.renewed = new Promise((resolve) => {
        channel.onmessage = () => {
          channel.close();
          resolve(renew());
        };
      });
    });
  }
  await starter.evaluate(() => {
    const channel = new BroadcastChannel("start");
    channel.postMessage(null);
    channel.close();
  });
  return Promise.all(tabs.map((tab) => tab.evaluate(() => renewed)));
}
