/** Mail that arrives shows in Cypht at once. */
(() => {
  /** Has the server set the cookie; who may listen, undefined where nobody may. */
  function token() {
    return new Promise((resolve, reject) => {
      const done = (answer) => {
        if (answer) resolve(answer.tidings_user);
        else reject(new Error("no token from Cypht"));
      };
      Hm_Ajax.request([{ name: "hm_ajax_hook", value: "ajax_tidings" }], done, [], true, undefined, done);
    });
  }

  /** What Cypht does once a minute while a list is shown. */
  function refresh() {
    if (getPageNameParam() === "message_list")
      return select_imap_folder(getListPathParam(), Hm_Utils.get_url_page_number(), true, true);
  }

  $(async () => {
    if (!hm_is_logged()) return;
    const user = await token();
    if (!user) return;
    const assets = `${hm_web_root_path()}modules/tidings/assets/`;
    const { listen } = await import(new URL(`${assets}listen.js`, document.baseURI));
    listen({ user, token, refresh });
  });
})();
