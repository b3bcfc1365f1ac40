/**
 * While the page listens to a Tidings gateway, it refreshes itself when something changed, and polls only rarely. When it
 * does not listen, whatever the reason, Roundcube polls as it always did.
 */

window.rcmail && rcmail.addEventListener('init', async () => {
  const { tidings, framed, extwin, refresh_interval: usual } = rcmail.env;
  if (!tidings || framed || extwin) return;

  // The folder's name has the version: caches never mix modules of two.
  const { SharedClient } = await import('./modules-@VERSION@/client/tidings.js');
  const { Refresher } = await import('./modules-@VERSION@/refresher.js');

  let overtaken = false;
  // By rcmail.refresh() the page would be locked meanwhile, and a page that is busy would wait for ten seconds.
  const refresher = new Refresher((done) => {
    const { lastrefresh } = rcmail.env;
    rcmail.env.lastrefresh = new Date();
    overtaken = false;
    const _last = Math.floor(lastrefresh.getTime() / 1000);
    const asked = rcmail.http_post('refresh', { ...rcmail.check_recent_params(), _last, _tidings: 1 });
    // Another plugin may have stopped it.
    if (asked) asked.then(() => done(true), () => done(false));
    else done(true);
  });

  // A page that is not locked may ask for another list before the refresh is answered, which is then of the list before.
  for (const action of ['list', 'search']) {
    rcmail.addEventListener(`request${action}`, () => { overtaken = refresher.running; });
  }
  rcmail.addEventListener('responsebeforerefresh', ({ response }) => {
    if (!overtaken) return;
    overtaken = false;
    response.exec = '';
    response.env = {};
    refresher.changed();
  });

  $(document).on({
    ajaxSend: (event, request) => refresher.began(request),
    // What only reads changes nothing that would be told.
    ajaxComplete: (event, request, { type }) => refresher.ended(request, type === 'POST'),
  });

  function poll(seconds) {
    // Who chose 0 wants no polls.
    if (!usual || rcmail.env.refresh_interval === seconds) return;
    rcmail.env.refresh_interval = seconds;
    rcmail.start_refresh();
  }

  let renewal, freshUntil;
  /** Have the token, a cookie that scripts cannot see, renewed in good time, as long as this page has the connection. */
  function isGoodFor(seconds) {
    const inGoodTime = 0.8 * seconds * 1000;
    freshUntil = Date.now() + inGoodTime;
    clearTimeout(renewal);
    renewal = setTimeout(() => client.leads && renew(), inGoodTime);
  }

  async function renew() {
    // Not by rcmail.http_post(): what fails is tried again without a word, and is no action of the user's.
    const answer = await $.ajax({ url: rcmail.url('plugin.tidings'), type: 'POST', dataType: 'json', global: false })
      .catch(({ status }) => ({ status }));
    if (answer.lifetime > 0) isGoodFor(answer.lifetime);
    return answer;
  }

  async function address() {
    if (Date.now() < freshUntil) return tidings.url;
    const { lifetime, status } = await renew();
    if (lifetime > 0) return tidings.url;
    throw new Error(`Roundcube gave no token (${status ?? 'the session is over'})`);
  }

  isGoodFor(tidings.lifetime);
  const client = new SharedClient({
    name: `${tidings.url} ${tidings.account}`,
    url: address,
    types: ['Email', 'Mailbox'],
    onChange: () => refresher.changed(),
    onStatus: ({ state, resumed, stalled }) => {
      poll(state === 'connected' && !stalled ? Math.max(usual, tidings.poll) : usual);
      if (state === 'connected' && !resumed) refresher.changed();
    },
  });
});
