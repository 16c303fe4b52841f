// The official Node SDK in sixteen universes at once, forked with fetch: none sees what another has.

import assert from 'node:assert/strict';
import { test } from 'node:test';

const { SDK, BASE_URL, MAIN_KEY } = process.env;
const { WorkOS } = await import(SDK);
const MOST = 16;
const NAMES = Array.from({ length: 8 }, (_, number) => `Acme ${number}`);

async function lab(key, method, path, body) {
  const answer = await fetch(BASE_URL + path, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

function connect(key) {
  const { hostname, port } = new URL(BASE_URL);
  return new WorkOS(key, { apiHostname: hostname, port: Number(port), https: false, timeout: 20_000 });
}

/**
 * Uses a universe as the test of an app does; returns the names of what it has, and of what it had at first.
 * The same ids and domains in each: a leak would be a conflict.
 */
async function live({ api_key: key, name: own }) {
  const { organizations } = connect(key);
  const seeded = (await organizations.listOrganizations({ limit: 100 })).data.map(({ name }) => name);
  for (const name of NAMES) {
    const label = name.replace(' ', '-').toLowerCase();
    const made = await organizations.createOrganization({
      name: `${name} of ${own}`,
      externalId: label,
      domainData: [{ domain: `${label}.com`, state: 'verified' }],
    });
    assert.equal((await organizations.getOrganization(made.id)).name, `${name} of ${own}`);
  }
  await lab(key, 'PUT', '/tenantry/lab/dns/acme.com', { txt: [own] });
  await lab(key, 'POST', '/tenantry/lab/clock/advance', { by: `${own.length}d` });
  const { data } = await organizations.listOrganizations({ limit: 100 });
  return { names: data.map(({ name }) => name).sort(), seeded };
}

test('sixteen universes at once never meet', async () => {
  const before = await lab(MAIN_KEY, 'GET', '/organizations?limit=100');
  const universes = await Promise.all(
    Array.from({ length: MOST }, (_, number) =>
      lab(MAIN_KEY, 'POST', '/tenantry/lab/universes', { name: `universe ${number}` }),
    ),
  );
  assert.equal(new Set(universes.map(({ api_key: key }) => key)).size, MOST);
  const found = await Promise.all(universes.map(live));
  for (const [index, { api_key: key, name, id }] of universes.entries()) {
    const { names, seeded } = found[index];
    assert.deepEqual(names, [...NAMES.map((each) => `${each} of ${name}`), ...seeded].sort());
    assert.deepEqual((await lab(key, 'GET', '/tenantry/lab/dns/acme.com')).txt, [name]);
    await lab(MAIN_KEY, 'DELETE', `/tenantry/lab/universes/${id}`);
    await assert.rejects(connect(key).organizations.listOrganizations(), { status: 401 });
  }
  assert.deepEqual(await lab(MAIN_KEY, 'GET', '/organizations?limit=100'), before);
});
