/** Mail that arrives shows in SOGo at once. SOGo loads this script with each page (SOGoUIAdditionalJSFiles). */
(() => {
  const script = document.currentScript.src;

  /**
   * Resolves once no question for new mail is on its way. Each is for what came since the answer before, so that a page
   * whose first question is not answered yet would ask a second time from when on mail is new, and what came in between
   * would be new to neither.
   */
  function answered(injector) {
    const { pendingRequests } = injector.get("$http");
    const root = injector.get("$rootScope");
    return new Promise((resolve) => {
      const stop = root.$watch(
        () => pendingRequests.some(({ url }) => url.endsWith("/folderINBOX/changes")),
        (asking) => {
          if (asking) return;
          stop();
          resolve();
        },
      );
      // Scopes look at what they watch when something has happened.
      root.$applyAsync();
    });
  }

  /** What the refresh button does, and the counts of unread messages. */
  function refresh(injector) {
    const waits = [answered(injector).then(() => injector.get("Preferences").pollInbox())];
    // Calendar and address book show no mail, but say that some has arrived.
    if (injector.has("Mailbox")) {
      const Mailbox = injector.get("Mailbox");
      injector.get("Account").refreshUnseenCount(window.unseenCountFolders);
      // What is found stays as it is until the search ends.
      if (Mailbox.selectedFolder && !Mailbox.$virtualMode && !Mailbox.selectedFolderController?.mode?.search)
        waits.push(Mailbox.selectedFolder.$filter());
    }
    return Promise.all(waits);
  }

  angular.element(document).ready(async () => {
    const user = window.UserLogin;
    // The page of the login, and windows of one message.
    if (!user || document.body.classList.contains("popup")) return;
    const injector = angular.element(document.body).injector();
    const { listen } = await import(new URL("listen.js", script));
    listen({
      user,
      token: async () => {
        const answer = await fetch("/SOGo/tidings-token", { method: "POST" });
        if (answer.status >= 500) throw new Error(`no token from SOGo: ${answer.status}`);
      },
      refresh: () => refresh(injector),
    });
  });
})();
