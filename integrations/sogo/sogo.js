/** Mail that arrives shows in SOGo at once. SOGo loads this script with each page (SOGoUIAdditionalJSFiles). */
(() => {
  const script = document.currentScript.src;

  /** What the refresh button does, and the counts of unread messages. */
  function refresh(injector) {
    const waits = [injector.get("Preferences").pollInbox()];
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
