// One version of the official Node SDK, unmodified, against a running server.
// SDK names the version (a dependency in package.json); the keys belong to empty environments.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const { SDK, BASE_URL, API_KEY, READ_ONLY_KEY, UNIQUE_KEY, THROTTLED_BASE_URL } = process.env;
const { WorkOS } = await import(SDK);
const NEWEST = SDK === 'workos-newest';
const UNKNOWN_ID = 'org_01ARZ3NDEKTSV4RRFFQ69G5FAV';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

function connect(key, baseUrl = BASE_URL) {
  const { hostname, port } = new URL(baseUrl);
  // The old version knows no maxRetries; it repeats none of the answers asked for here.
  return new WorkOS(key, {
    apiHostname: hostname,
    port: Number(port),
    https: false,
    timeout: 10_000,
    maxRetries: 0,
  });
}

const workos = connect(API_KEY);
const { organizations } = workos;

function states(organization) {
  return Object.fromEntries(organization.domains.map(({ domain, state }) => [domain, state]));
}

/** Returns the error of class `name` that `call` ends with, after checking that it names its request. */
async function refused(name, call) {
  const error = await call().then(
    () => assert.fail(`expected ${name}, but it was answered`),
    (reason) => reason,
  );
  assert.equal(error.name, name, error.stack);
  // The old version looks its request id up in the wrong way and always finds ''.
  assert.match(error.requestID, NEWEST ? UUID : /^$/);
  return error;
}

test('the SDK is the version that package.json names', async () => {
  const { dependencies } = JSON.parse(await readFile(new URL('package.json', import.meta.url), 'utf8'));
  assert.equal(`npm:@workos-inc/node@${workos.version}`, dependencies[SDK], 'run: npm ci');
});

test('create takes every field', async () => {
  const created = await organizations.createOrganization({
    name: 'Everything',
    allowProfilesOutsideOrganization: true,
    domains: ['old.example.com'],
    domainData: [
      { domain: 'pending.example.com', state: 'pending' },
      { domain: 'verified.example.com', state: 'verified' },
    ],
    metadata: { tier: 'gold' },
    externalId: 'everything',
  });
  assert.match(created.id, /^org_[0-9A-HJKMNP-TV-Z]{26}$/);
  assert.equal(created.object, 'organization');
  assert.equal(created.name, 'Everything');
  assert.equal(created.externalId, 'everything');
  assert.deepEqual(created.metadata, { tier: 'gold' });
  assert.match(created.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.equal(created.updatedAt, created.createdAt);
  // The newest version no longer sends the two deprecated fields.
  assert.equal(created.allowProfilesOutsideOrganization, !NEWEST);
  assert.deepEqual(states(created), {
    ...(NEWEST ? {} : { 'old.example.com': 'legacy_verified' }),
    'pending.example.com': 'pending',
    'verified.example.com': 'verified',
  });
});

test('a pending domain comes with its DNS record', async () => {
  const created = await organizations.createOrganization({
    name: 'Pending',
    domainData: [{ domain: 'record.example.com', state: 'pending' }],
  });
  const [domain] = created.domains;
  assert.equal(domain.organizationId, created.id);
  assert.equal(domain.verificationStrategy, 'dns');
  // The old version does not hand on the prefix.
  assert.match(domain.verificationPrefix ?? '', NEWEST ? /^acme-domain-verification-/ : /^$/);
  assert.ok(domain.verificationToken);
});

test('create needs a name alone', async () => {
  const created = await organizations.createOrganization({ name: 'Bare' });
  assert.deepEqual(created.domains, []);
  assert.deepEqual(created.metadata, {});
  assert.equal(created.externalId, null);
  assert.equal(created.stripeCustomerId, undefined);
});

test('get returns what create returned', async () => {
  const created = await organizations.createOrganization({
    name: 'Got',
    domainData: [{ domain: 'got.example.com', state: 'verified' }],
  });
  assert.deepEqual(await organizations.getOrganization(created.id), created);
});

test('get by external id takes any external id that the SDK can send', async () => {
  // The old version puts it into the path as it is.
  const encoded = NEWEST ? ['100%', 'a?b#c', '%2F'] : [];
  for (const externalId of ['plain', 'with/slash', 'with space', 'external_id', ...encoded]) {
    const created = await organizations.createOrganization({ name: 'External', externalId });
    assert.deepEqual(await organizations.getOrganizationByExternalId(externalId), created);
  }
});

test('update takes every field', async () => {
  const created = await organizations.createOrganization({
    name: 'Before',
    domainData: [{ domain: 'gone.example.com', state: 'pending' }],
  });
  const updated = await organizations.updateOrganization({
    organization: created.id,
    name: 'After',
    allowProfilesOutsideOrganization: true,
    domains: ['old.example.com'],
    domainData: [{ domain: 'new.example.com', state: 'verified' }],
    stripeCustomerId: 'cus_update',
    metadata: { tier: 'gold' },
    externalId: 'update',
  });
  assert.equal(updated.id, created.id);
  assert.equal(updated.name, 'After');
  assert.equal(updated.createdAt, created.createdAt);
  assert.equal(updated.stripeCustomerId, 'cus_update');
  assert.equal(updated.externalId, 'update');
  assert.deepEqual(updated.metadata, { tier: 'gold' });
  assert.equal(updated.allowProfilesOutsideOrganization, !NEWEST);
  assert.deepEqual(states(updated), {
    ...(NEWEST ? {} : { 'old.example.com': 'legacy_verified' }),
    'new.example.com': 'verified',
  });
  assert.deepEqual(await organizations.getOrganization(created.id), updated);
});

test('update leaves what it is not given', async () => {
  const created = await organizations.createOrganization({
    name: 'Kept',
    domainData: [{ domain: 'kept.example.com', state: 'pending' }],
    metadata: { tier: 'gold' },
    externalId: 'kept',
  });
  const updated = await organizations.updateOrganization({ organization: created.id, name: 'Renamed' });
  assert.deepEqual(updated, { ...created, name: 'Renamed', updatedAt: updated.updatedAt });
});

test('update merges metadata and null deletes a key', async () => {
  const created = await organizations.createOrganization({ name: 'Merged', metadata: { a: '1', b: '2' } });
  for (const [metadata, left] of [
    [{ b: '3', c: '4' }, { a: '1', b: '3', c: '4' }],
    [{ a: null }, { b: '3', c: '4' }],
    [{}, {}],
  ]) {
    const updated = await organizations.updateOrganization({ organization: created.id, metadata });
    assert.deepEqual(updated.metadata, left);
  }
});

test('update clears the external id and the Stripe customer with null', async () => {
  const created = await organizations.createOrganization({ name: 'Cleared', externalId: 'cleared' });
  await organizations.updateOrganization({ organization: created.id, stripeCustomerId: 'cus_cleared' });
  const updated = await organizations.updateOrganization({
    organization: created.id,
    externalId: null,
    stripeCustomerId: null,
  });
  assert.equal(updated.externalId, null);
  assert.equal(updated.stripeCustomerId, undefined);
});

test('delete returns nothing and the organization is gone', async () => {
  const created = await organizations.createOrganization({ name: 'Deleted' });
  assert.equal(await organizations.deleteOrganization(created.id), undefined);
  await refused('NotFoundException', () => organizations.getOrganization(created.id));
});

test('pages lead on to each other in both orders', async () => {
  const created = [];
  for (let n = 0; n < 25; n += 1) {
    created.push((await organizations.createOrganization({ name: `Page ${n}` })).id);
  }
  for (const order of ['asc', 'desc']) {
    const walked = [];
    let after;
    do {
      const page = await organizations.listOrganizations({ limit: 10, order, search: 'page ', after });
      walked.push(...page.data.map(({ id }) => id));
      after = page.listMetadata.after;
    } while (after);
    assert.deepEqual(walked, order === 'asc' ? created : [...created].reverse());
  }
});

test('auto-pagination meets each organization once', async () => {
  const names = Array.from({ length: 210 }, (_, n) => `Automatic ${n}`);
  const created = await Promise.all(names.map((name) => organizations.createOrganization({ name })));
  const first = await organizations.listOrganizations({ search: 'automatic' });
  assert.equal(first.data.length, 10);
  assert.equal(first.listMetadata.before, null);
  // In the SDK's own pages of a hundred.
  const walked = (await first.autoPagination()).map(({ id }) => id);
  assert.deepEqual(walked, created.map(({ id }) => id).sort().reverse());
});

test('the domains filter finds organizations with any of them', async () => {
  const [first, second] = await Promise.all(
    ['one', 'two', 'three'].map((name) =>
      organizations.createOrganization({
        name,
        domainData: [{ domain: `${name}.filter.example.com`, state: 'pending' }],
      }),
    ),
  );
  const { data } = await organizations.listOrganizations({
    domains: ['one.filter.example.com', 'TWO.filter.example.com'],
  });
  assert.deepEqual(new Set(data.map(({ id }) => id)), new Set([first.id, second.id]));
});

test('an idempotency key makes a repeated create one', async () => {
  const options = { idempotencyKey: 'bar' };
  const first = await organizations.createOrganization({ name: 'Once' }, options);
  assert.deepEqual(await organizations.createOrganization({ name: 'Once' }, options), first);
  const error = await refused('GenericServerException', () =>
    organizations.createOrganization({ name: 'Twice' }, options),
  );
  assert.equal(error.status, 400);
  assert.match(error.message, /^Another idempotency key \(bar\) with different request parameters was found\./);
});

test('two equal creates are two organizations', async () => {
  const first = await organizations.createOrganization({ name: 'Equal' });
  assert.notEqual((await organizations.createOrganization({ name: 'Equal' })).id, first.id);
});

// The SDK makes a BadRequestException only of a 400 that has `errors`; these have none, as the wire has it.
test('a 400 is a GenericServerException with its code', async () => {
  const holder = await organizations.createOrganization({ name: 'Holder', externalId: 'held' });
  await organizations.updateOrganization({ organization: holder.id, stripeCustomerId: 'cus_held' });
  const other = await organizations.createOrganization({ name: 'Other' });
  for (const [code, call] of [
    ['external_id_already_used', () => organizations.createOrganization({ name: 'Third', externalId: 'held' })],
    [
      'external_id_already_used',
      () => organizations.updateOrganization({ organization: other.id, externalId: 'held' }),
    ],
    [
      'stripe_customer_id_already_used',
      () => organizations.updateOrganization({ organization: other.id, stripeCustomerId: 'cus_held' }),
    ],
    [
      'invalid_metadata',
      () => organizations.createOrganization({ name: 'Long', metadata: { ['k'.repeat(41)]: '' } }),
    ],
  ]) {
    const error = await refused('GenericServerException', call);
    assert.equal(error.status, 400);
    assert.equal(error.rawData.code, code);
    assert.equal(error.message, error.rawData.message);
  }
});

test('an unknown key is an UnauthorizedException', async () => {
  const stranger = connect('sk_test_unknown').organizations;
  const error = await refused('UnauthorizedException', () => stranger.listOrganizations());
  assert.equal(error.status, 401);
});

test('a read-only key may read and not write: a GenericServerException of status 403', async () => {
  const reader = connect(READ_ONLY_KEY).organizations;
  assert.deepEqual((await reader.listOrganizations()).data, []);
  for (const call of [
    () => reader.createOrganization({ name: 'Acme' }),
    () => reader.updateOrganization({ organization: UNKNOWN_ID, name: 'Acme' }),
    () => reader.deleteOrganization(UNKNOWN_ID),
  ]) {
    const error = await refused('GenericServerException', call);
    assert.equal(error.status, 403);
    assert.equal(error.rawData.code, 'forbidden');
    assert.match(error.message, /read-only/);
  }
});

test('an unknown organization is a NotFoundException', async () => {
  for (const call of [
    () => organizations.getOrganization(UNKNOWN_ID),
    () => organizations.getOrganizationByExternalId(UNKNOWN_ID),
    () => organizations.updateOrganization({ organization: UNKNOWN_ID, name: 'Acme' }),
    () => organizations.deleteOrganization(UNKNOWN_ID),
  ]) {
    const error = await refused('NotFoundException', call);
    assert.equal(error.status, 404);
    assert.equal(error.code, 'entity_not_found');
    assert.equal(error.message, `Organization not found: '${UNKNOWN_ID}'.`);
  }
});

test('a domain that another has is a ConflictException where domains are unique', async () => {
  const unique = connect(UNIQUE_KEY).organizations;
  const domainData = [{ domain: 'example.com', state: 'pending' }];
  await unique.createOrganization({ name: 'Acme', domainData });
  const error = await refused('ConflictException', () =>
    unique.createOrganization({ name: 'Other', domainData }),
  );
  assert.equal(error.status, 409);
  assert.equal(error.message, 'An Organization with the domain example.com already exists.');
});

test('all wrong fields are told in one UnprocessableEntityException', async () => {
  const error = await refused('UnprocessableEntityException', () =>
    organizations.createOrganization({ name: '', externalId: 'é' }),
  );
  assert.equal(error.status, 422);
  assert.equal(
    error.message,
    'The following requirements must be met:\n' +
      '\tname should not be empty\n' +
      '\texternal_id must contain only ASCII characters\n',
  );
});

test('a wrong list parameter is an UnprocessableEntityException', async () => {
  const error = await refused('UnprocessableEntityException', () =>
    organizations.listOrganizations({ limit: 101 }),
  );
  assert.equal(
    error.message,
    'The following requirement must be met:\n\tlimit must not be greater than 100\n',
  );
});

test('too many requests are a RateLimitExceededException that says when to come again', async () => {
  const throttled = connect(API_KEY, THROTTLED_BASE_URL).organizations;
  const error = await refused('RateLimitExceededException', async () => {
    // One a minute: three cannot all fall into minutes of their own.
    for (let n = 0; n < 3; n += 1) {
      await throttled.listOrganizations();
    }
  });
  assert.equal(error.status, 429);
  assert.equal(error.message, 'Too many requests.');
  assert.ok(Number.isInteger(error.retryAfter) && error.retryAfter > 0 && error.retryAfter <= 60);
});

/** Returns the SDK's operations on domains, under one name each for both versions. */
function domainsOf({ organizationDomains: domains }) {
  return NEWEST
    ? {
        create: (body) => domains.createOrganizationDomain(body),
        get: (id) => domains.getOrganizationDomain(id),
        verify: (id) => domains.verifyOrganizationDomain(id),
        delete: (id) => domains.deleteOrganizationDomain(id),
      }
    : domains;
}

test('a domain is created, fetched, verified and deleted', async () => {
  const { id } = await organizations.createOrganization({ name: 'Domains' });
  const domains = domainsOf(workos);
  const made = await domains.create({ organizationId: id, domain: 'ACME.example.com' });
  assert.equal(made.object, 'organization_domain');
  assert.equal(made.domain, 'acme.example.com');
  assert.equal(made.organizationId, id);
  assert.equal(made.state, 'pending');
  assert.equal(made.verificationStrategy, 'dns');
  if (NEWEST) {
    // The old version knows of no prefix.
    assert.equal(made.verificationPrefix, `acme-domain-verification-${made.id.slice(-6).toLowerCase()}`);
  }
  assert.match(made.verificationToken, /^[A-Za-z0-9]{25}$/);
  assert.deepEqual(await domains.get(made.id), made);
  assert.deepEqual(await domains.verify(made.id), made);
  assert.deepEqual((await organizations.getOrganization(id)).domains, [made]);
  await refused('ConflictException', () => domains.create({ organizationId: id, domain: 'acme.example.com' }));
  await refused('UnprocessableEntityException', () => domains.create({ organizationId: id, domain: 'co.uk' }));
  await domains.delete(made.id);
  await refused('NotFoundException', () => domains.get(made.id));
});

test('a domain that was given as verified is not verified again', async () => {
  const domainData = [{ domain: 'given.example.com', state: 'verified' }];
  const { domains: [given] } = await organizations.createOrganization({ name: 'Given', domainData });
  const error = await refused('GenericServerException', () => domainsOf(workos).verify(given.id));
  assert.equal(error.status, 400);
  assert.equal(error.message, 'Domain is already verified.');
});

test('audit logs are written by the schema of their action', async () => {
  const { id: organizationId } = await organizations.createOrganization({ name: 'Audited' });
  const action = 'user.signed_in';
  const made = await workos.auditLogs.createSchema({
    action,
    actor: { metadata: { role: 'string' } },
    targets: [{ type: 'team' }],
  });
  assert.equal(made.version, 1);
  const event = (role) => ({
    action,
    occurredAt: new Date(),
    actor: { id: 'user_1', type: 'user', metadata: { role } },
    targets: [{ id: 'team_1', type: 'team' }],
    context: { location: '192.0.2.1' },
  });
  await workos.auditLogs.createEvent(organizationId, event('admin'), { idempotencyKey: 'audited' });
  const error = await refused('BadRequestException', () => workos.auditLogs.createEvent(organizationId, event(1)));
  assert.equal(error.code, 'invalid_audit_log_event');
  assert.deepEqual(error.errors.map(({ instancePath }) => instancePath), ['/actor/metadata/role']);
});

test('audit log retention is set by period', async () => {
  if (!NEWEST) return; // an older client has no retention
  const { id } = await organizations.createOrganization({ name: 'Retained' });
  const before = await workos.auditLogs.getOrganizationAuditLogsRetention({ id });
  assert.equal(before.retentionPeriodInDays, null);
  await workos.auditLogs.updateOrganizationAuditLogsRetention({ id, retentionPeriod: '2_YEARS' });
  const after = await workos.auditLogs.getOrganizationAuditLogsRetention({ id });
  assert.equal(after.retentionPeriodInDays, 730);
});

test('the schemas of an action are listed', async () => {
  if (!workos.auditLogs.listSchemas) return; // an older client only creates them
  const action = 'listed.action';
  await workos.auditLogs.createSchema({ action, targets: [{ type: 'team' }] });
  const schemas = await (await workos.auditLogs.listSchemas(action)).autoPagination();
  assert.deepEqual(schemas.map(({ version }) => version), [1]);
});

test('audit logs are exported to a CSV', async () => {
  const { id: organizationId } = await organizations.createOrganization({ name: 'Exported' });
  const action = 'report.exported';
  await workos.auditLogs.createSchema({ action, targets: [{ type: 'team' }] });
  for (const name of ['Ann', 'Bob']) {
    await workos.auditLogs.createEvent(organizationId, {
      action,
      occurredAt: new Date(),
      actor: { id: `user_${name}`, type: 'user', name },
      targets: [{ id: 'team_1', type: 'team' }],
      context: { location: '192.0.2.1' },
    });
  }
  const range = { rangeStart: new Date(Date.now() - 3600e3), rangeEnd: new Date(Date.now() + 3600e3) };
  let made = await workos.auditLogs.createExport({
    organizationId,
    ...range,
    actions: [action],
    ...(NEWEST ? { actorNames: ['Ann'] } : { actors: ['Ann'] }),
    targets: ['team'],
  });
  while (made.state === 'pending') {
    await new Promise((resolve) => setTimeout(resolve, 50));
    made = await workos.auditLogs.getExport(made.id);
  }
  assert.equal(made.state, 'ready');
  const [head, ...rows] = (await (await fetch(made.url)).text()).trim().split('\r\n');
  assert.match(head, /^id,organization_id,action,/);
  assert.deepEqual(rows.map((row) => row.split(',')[7]), ['Ann']);
  // A 400 without `errors` is a GenericServerException to this client.
  const error = await refused('GenericServerException', () =>
    workos.auditLogs.createExport({ organizationId, rangeStart: range.rangeEnd, rangeEnd: range.rangeStart }),
  );
  assert.deepEqual([error.status, error.message], [400, 'Invalid date range']);
  await refused('NotFoundException', () => workos.auditLogs.getExport('audit_log_export_01EHQMYV6MBK39QC5PZXHY59C3'));
});

test('an operation not there yet is a GenericServerException that names it', async () => {
  const factors = NEWEST ? workos.multiFactorAuth : workos.mfa;
  const error = await refused('GenericServerException', () => factors.getFactor('auth_factor_1'));
  assert.equal(error.status, 501);
  assert.equal(error.rawData.code, 'not_implemented');
  assert.equal(error.message, 'Tenantry does not have this operation yet: GET /auth/factors/{id}.');
});
