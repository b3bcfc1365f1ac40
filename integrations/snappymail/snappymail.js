/** Mail that arrives shows in SnappyMail at once. */
((rl) => {
  let listening = false;

  /** Counts, notifications and the list of the inbox, then those of the folder that is shown. */
  function refresh() {
    rl.app.folderInformation("INBOX");
    const shown = rl.app.messageList().folder;
    if (shown && shown !== "INBOX") rl.app.folderInformation(shown);
  }

  /** Has the server set the cookie. What it refuses, the gateway refuses too; what fails is tried again. */
  function token() {
    return new Promise((resolve, reject) => {
      rl.pluginRemoteRequest((error, data) => {
        if (data) resolve();
        else reject(new Error(`no token from SnappyMail: ${error}`));
      }, "TidingsToken");
    });
  }

  // There is a mailbox after the login, for which no page is loaded.
  addEventListener("sm-show-screen", async ({ detail: screen }) => {
    if (screen !== "mailbox" || listening) return;
    listening = true;
    const { listen } = await import(new URL("tidings/listen.js", document.baseURI));
    listen({ user: rl.settings.get("Email"), token, refresh });
  });
})(window.rl);
