// Runs the page in Chromium. Lines of the standard input are commands: a function of the page, then its argument as JSON; lines of
// the standard output are what happens, and what a function gives, as JSON.
const { chromium } = require('playwright-core');
const { readFileSync } = require('fs');
const { createServer } = require('http');
const { createInterface } = require('readline');
const { join } = require('path');

const [host, page, bundle] = process.argv.slice(2);
const files = { '/': [page, 'text/html'], '/page.js': [bundle, 'text/javascript'] };
const say = (object) => console.log(JSON.stringify({ time: Date.now() / 1000, ...object }));

async function main() {
  const server = createServer((request, response) => {
    const [file, type] = files[request.url] || [];
    response.writeHead(file ? 200 : 404, { 'content-type': type || 'text/plain' });
    response.end(file ? readFileSync(file) : '');
  });
  await new Promise((bound) => server.listen(0, host, bound));
  const origin = `http://${host}:${server.address().port}`;
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update',
      '--autoplay-policy=no-user-gesture-required', '--allow-loopback-in-peer-connection',
      `--unsafely-treat-insecure-origin-as-secure=${origin}`,
      ...(process.env.MDNS ? [] : ['--disable-features=WebRtcHideLocalIpsWithMdns']),
    ],
  });
  // Who may use the microphone need not hide its addresses.
  const context = await browser.newContext({ ignoreHTTPSErrors: true, permissions: process.env.MDNS ? [] : ['microphone'] });
  const tab = await context.newPage();
  tab.on('pageerror', (error) => say({ type: 'error', text: String(error) }));
  tab.on('websocket', (socket) => {
    socket.on('framesent', ({ payload }) => process.stderr.write(`>>> ${payload}\n`));
    socket.on('framereceived', ({ payload }) => process.stderr.write(`<<< ${payload}\n`));
  });
  await tab.goto(`${origin}/`);
  say({ type: 'ready' });
  setInterval(async () => {
    const told = await tab.evaluate(() => phone.told.splice(0)).catch(() => []);
    told.forEach(say);
  }, 50);
  const lines = createInterface({ input: process.stdin });
  for await (const line of lines) {
    const [name, ...rest] = line.split(' ');
    const argument = rest.length ? JSON.parse(rest.join(' ')) : null;
    const value = await tab
      .evaluate(([name, argument]) => phone[name](argument), [name, argument])
      .catch((error) => ({ error: String(error) }));
    say({ type: 'result', of: name, value });
  }
  await browser.close();
  process.exit(0);
}

main().catch((error) => { say({ type: 'error', text: String(error) }); process.exit(1); });
