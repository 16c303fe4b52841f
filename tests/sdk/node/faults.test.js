// What one version of the official Node SDK, unmodified, makes of the faults of a universe.
// SDK names the version (a dependency in package.json); BASE_URL is a `tenantry dev`, MAIN_KEY its key.

import assert from 'node:assert/strict';
import { test } from 'node:test';

const { SDK, BASE_URL, MAIN_KEY } = process.env;
const { WorkOS } = await import(SDK);
const RETRIES = SDK === 'workos-newest'; // the old version never retries these calls
const AT_ONCE = { 'Retry-After': '0' };

async function ask(key, method, path, body) {
  const response = await fetch(`${BASE_URL}${path}`, {
    method,
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return text && JSON.parse(text);
}

/** Forks a universe for one test, which is dropped after it. */
async function fork(t) {
  const { id, api_key: key } = await ask(MAIN_KEY, 'POST', '/tenantry/lab/universes');
  t.after(() => ask(MAIN_KEY, 'DELETE', `/tenantry/lab/universes/${id}`));
  const { hostname, port } = new URL(BASE_URL);
  return {
    connect: (options = {}) =>
      new WorkOS(key, { apiHostname: hostname, port: Number(port), https: false, ...options }).organizations,
    let: (...faults) => ask(key, 'PUT', '/tenantry/lab/faults', { faults }),
    names: async () => (await ask(key, 'GET', '/organizations')).data.map(({ name }) => name),
    creates: async () =>
      (await ask(key, 'GET', '/tenantry/lab/requests?operation=organizations.create&order=asc')).data,
  };
}

async function failure(call) {
  return call().then(
    () => assert.fail('it was answered'),
    (error) => error,
  );
}

for (const [status, name] of [
  [400, 'BadRequestException'],
  [401, 'UnauthorizedException'],
  [403, 'GenericServerException'],
  [404, 'NotFoundException'],
  [409, 'ConflictException'],
  [422, 'UnprocessableEntityException'],
  [500, 'GenericServerException'],
  [503, 'GenericServerException'],
]) {
  test(`the status ${status} is a ${name}`, async (t) => {
    const universe = await fork(t);
    const body = { message: 'As it was set.', code: 'set', ...(status === 400 && { errors: [] }) };
    await universe.let({ fault: 'status', method: 'POST', status, body });
    const error = await failure(() => universe.connect({ maxRetries: 0 }).createOrganization({ name: 'Acme' }));
    assert.equal(error.name, name, error.stack);
    assert.deepEqual(await universe.names(), []);
  });
}

test('a rate limit is the documented exception with its wait', async (t) => {
  const universe = await fork(t);
  await universe.let({ fault: 'rate_limit', retry_after: 7 });
  const error = await failure(() => universe.connect({ maxRetries: 0 }).createOrganization({ name: 'Acme' }));
  assert.equal(error.name, 'RateLimitExceededException');
  assert.equal(error.retryAfter, 7);
});

const OVER_AFTER_THREE = [
  { fault: 'rate_limit', retry_after: 0 },
  ...[408, 500, 502, 503, 504].map((status) => ({ fault: 'status', status, headers: AT_ONCE })),
  { fault: 'status', status: 502, body: '<h1>502 Bad Gateway</h1>', headers: AT_ONCE },
];

for (const rule of RETRIES ? OVER_AFTER_THREE : []) {
  test(`${rule.fault} ${rule.status ?? ''} ${rule.body ?? ''} is retried away`, async (t) => {
    const universe = await fork(t);
    await universe.let({ ...rule, times: 3 });
    const made = await universe.connect().createOrganization({ name: 'Acme' });
    assert.equal(made.name, 'Acme');
    const creates = await universe.creates();
    assert.equal(creates.length, 4);
    assert.equal(new Set(creates.map(({ headers }) => headers['idempotency-key'])).size, 1);
    assert.deepEqual(await universe.names(), ['Acme']);
  });
}

for (const fault of RETRIES ? ['drop', 'lose'] : []) {
  test(`${fault} is retried away and makes one organization`, async (t) => {
    const universe = await fork(t);
    await universe.let({ fault, method: 'POST', times: 1 });
    const made = await universe.connect().createOrganization({ name: 'Acme' });
    const creates = await universe.creates();
    assert.deepEqual(
      creates.map(({ sent }) => sent),
      ['none', 'all'],
    );
    assert.equal(creates.at(-1).answer.body.id, made.id);
    assert.deepEqual(await universe.names(), ['Acme']);
  });
}

for (const [fault, told] of [
  ['drop', /fetch failed/],
  ['lose', /fetch failed/],
  ['truncate', /terminated/],
]) {
  test(`${fault} without retries is an error that says ${told.source}`, async (t) => {
    const universe = await fork(t);
    await universe.let({ fault, method: 'POST' });
    const error = await failure(() => universe.connect({ maxRetries: 0 }).createOrganization({ name: 'Acme' }));
    assert.match(error.message, told, error.stack);
    assert.deepEqual(await universe.names(), fault === 'drop' ? [] : ['Acme']);
  });
}

test('a truncated answer is not asked for again', async (t) => {
  const universe = await fork(t);
  await universe.let({ fault: 'truncate', method: 'POST' });
  const error = await failure(() => universe.connect().createOrganization({ name: 'Acme' }));
  assert.match(error.message, /terminated/);
  assert.equal((await universe.creates()).length, 1);
});

test('an answer that is too late is an error of its timeout', async (t) => {
  const universe = await fork(t);
  await universe.let({ fault: 'latency', latency: { milliseconds: 2000 }, times: 1 });
  const impatient = universe.connect({ maxRetries: 0, timeout: 200 });
  const error = await failure(() => impatient.createOrganization({ name: 'Acme' }));
  assert.equal(error.name, 'OauthException');
  assert.match(error.message, /Request timeout/);
});

test('a lost answer makes two organizations without a key and one with it', async (t) => {
  const universe = await fork(t);
  const once = universe.connect({ maxRetries: 0 }); // with retries the SDK adds a key by itself
  for (const [name, options] of [
    ['Without', {}],
    ['With', { idempotencyKey: 'signup-1' }],
  ]) {
    await universe.let({ fault: 'lose', method: 'POST', times: 1 });
    await failure(() => once.createOrganization({ name }, options));
    await once.createOrganization({ name }, options);
  }
  assert.deepEqual((await universe.names()).sort(), ['With', 'Without', 'Without']);
});
