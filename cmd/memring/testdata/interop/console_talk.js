// Opens the console at ADDRESS, holds what it shows to what /cluster has said, and takes pictures: SHOT-light.png and SHOT-dark.png.
//
//   node console_talk.js ADDRESS SHOT settled|moving
const assert = require('node:assert');
const { chromium } = require('playwright-core');

const [address, shot, wants] = process.argv.slice(2);
const patience = 60000; // not how soon, but whether: a busy machine takes its time to start a browser, and to draw

const flags = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

const requests = (s) => ['cmd_get', 'cmd_set', 'cmd_touch', 'cmd_meta', 'delete_hits', 'delete_misses', 'incr_hits', 'incr_misses', 'decr_hits', 'decr_misses']
  .reduce((sum, name) => sum + s[name], 0);

// want says what a cell of a member is to show: what /cluster says, or how it has changed since it was asked before.
function want(figure, now, before, seconds) {
  const s = now.stats;
  switch (figure) {
    case 'state': return undefined;
    case 'owned': return now.owned;
    case 'requests': return before && (requests(s) - requests(before.stats)) / seconds;
    case 'evictions': return before && (s.evictions - before.stats.evictions) / seconds;
    case 'hit_ratio': {
      const gets = before && s.cmd_get - before.stats.cmd_get;
      return gets ? (s.get_hits - before.stats.get_hits) / gets : undefined;
    }
    default:
      assert(figure in s, `/cluster says nothing of ${figure}`);
      return s[figure];
  }
}

function near(got, wanted, what) {
  assert(got !== '' && Math.abs(Number(got) - wanted) <= 1e-6 * Math.max(1, Math.abs(wanted)), `${what}: shown is ${got}, want ${wanted}`);
}

// until waits for what is to become true of a page that is drawn anew every few seconds.
async function until(holds, complaint) {
  for (const end = Date.now() + patience; !await holds();) {
    assert(Date.now() < end, complaint);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

// check holds one state of the page to the answer it was drawn from, and gives how many numbers were compared.
function check(page, now, before) {
  const seconds = before && (Date.parse(now.time) - Date.parse(before.time)) / 1000;
  const former = new Map((before?.members ?? []).map((m) => [m.id, m]));
  let compared = 0;
  for (const cell of page.cells) {
    const member = now.members.find((m) => m.id === cell.member);
    assert(member, `${cell.member} is shown, and no member`);
    if (cell.figure === 'state') assert.strictEqual(cell.text, member.state);
    const value = want(cell.figure, member, former.get(member.id)?.stats && former.get(member.id), seconds);
    if (value === undefined || value < 0) continue;
    near(cell.value, value, `${cell.member}, ${cell.figure}`);
    if (cell.figure === 'curr_items') assert.strictEqual(cell.text, value.toLocaleString('en'));
    compared++;
  }
  const all = (of) => now.members.reduce((sum, m) => sum + of(m), 0);
  near(page.charts.items, all((m) => m.stats.curr_items), 'items of the cluster');
  near(page.charts.memory, all((m) => m.stats.bytes), 'memory of the cluster');
  near(page.charts.connections, all((m) => m.stats.curr_connections), 'connections of the cluster');
  if (before && now.members.every((m) => former.has(m.id))) {
    near(page.charts.requests, all((m) => want('requests', m, former.get(m.id), seconds)), 'requests of the cluster');
  }
  assert.deepStrictEqual(page.moves, now.moves.map((m) => [m.name, String(m.partitions), String(m.items), String(m.bytes)]));
  assert.strictEqual(page.arcs, now.members.filter((m) => m.owned > 0).length, 'arcs of the ring');
  return compared;
}

// read takes what is on the page, all of one moment.
const read = () => ({
  time: document.body.dataset.time,
  cells: [...document.querySelectorAll('[data-member]')].map((e) => ({ member: e.dataset.member, figure: e.dataset.figure, value: e.dataset.value, text: e.textContent })),
  charts: Object.fromEntries([...document.querySelectorAll('.chart [data-figure]')].map((e) => [e.dataset.figure, e.dataset.value])),
  moves: [...document.querySelectorAll('[data-move]')].map((row) => [row.dataset.move, ...[...row.querySelectorAll('[data-figure]')].map((e) => e.dataset.value)]),
  arcs: document.querySelectorAll('.arc').length,
});

(async () => {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: flags, timeout: patience });
  const page = await browser.newPage({ viewport: { width: 1400, height: 1000 }, colorScheme: 'light' });
  page.setDefaultTimeout(patience);
  const complaints = [], elsewhere = [], said = [];
  page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('requestfailed', (request) => complaints.push(`${request.url()}: ${request.failure().errorText}`));
  page.on('request', (request) => { if (!request.url().startsWith(address)) elsewhere.push(request.url()); });
  page.on('response', (response) => {
    if (response.url() !== `${address}cluster`) return;
    response.json().then((cluster) => {
      if (said.at(-1)?.time !== cluster.time) said.push(cluster);
    }).catch((error) => complaints.push(`${response.url()}: ${error}`));
  });
  await page.goto(address);

  const end = Date.now() + patience;
  let compared = 0, looks = 0, moving = 0, latest = '';
  const good = () => looks >= 3 && (wants !== 'moving' || moving > 0);
  while (!good() && Date.now() < end) {
    await page.waitForFunction((seen) => (document.body.dataset.time ?? '') !== seen, latest, { timeout: patience });
    const shown = await page.evaluate(read);
    latest = shown.time;
    let at = -1; // the page may have drawn an answer before we have read it
    await until(() => (at = said.findIndex((cluster) => cluster.time === shown.time)) >= 0, `the page shows ${shown.time}, which /cluster has not said`);
    if (said[at].members.some((m) => m.silent)) continue; // one that has just come is asked by the next table
    compared += check(shown, said[at], said[at - 1]);
    looks++;
    if (shown.moves.length > 0 && wants === 'moving' && moving++ < 3) await page.screenshot({ path: `${shot}-light.png`, fullPage: true });
  }
  assert(good(), `${looks} looks, ${moving} of them with moves under way`);
  if (wants !== 'moving') await page.screenshot({ path: `${shot}-light.png`, fullPage: true });
  await page.press('#each', 'Enter'); // by the keyboard alone
  await page.emulateMedia({ colorScheme: 'dark' });
  const chart = page.locator('.chart:nth-child(2)');
  await until(async () => await chart.locator('.line').count() === said.at(-1).members.length, 'lines of a chart are not one by node');
  let across = 300; // moved at each try: a table above that grows takes the chart away from the pointer
  await until(async () => {
    await chart.locator('svg').hover({ position: { x: across++, y: 60 } });
    return chart.locator('.tip').isVisible();
  }, 'what is under the pointer is not told');
  await page.screenshot({ path: `${shot}-dark.png`, fullPage: true });
  await page.setViewportSize({ width: 320, height: 800 });
  await until(() => page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), 'a narrow window has to be scrolled sideways');
  assert.deepStrictEqual(complaints, [], 'the browser complains');
  assert.deepStrictEqual(elsewhere, [], 'the page asks elsewhere');
  page.removeAllListeners(); // what is under way when the browser ends is nobody's fault
  await browser.close();
  console.log(`${compared} numbers compared in ${looks} looks, ${moving} of them with moves under way\nok`);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
