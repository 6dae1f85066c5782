// A consumer of webhooks in Node.js (18 or later) without packages: it verifies each request and applies its events to a copy of
// the users, groups and memberships. The tests of Rollcall run this file; see docs/webhooks.md.
//
//   WEBHOOK_SECRET=whsec_… PORT=3000 COPY_FILE=copy.json node consumer.mjs
//
// Events without data (thin, or truncated) are read from the server: set ROLLCALL_URL and ROLLCALL_KEY, an API key with the
// permission directory.read.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';

const { WEBHOOK_SECRET, PORT = '3000', COPY_FILE = 'copy.json', ROLLCALL_URL, ROLLCALL_KEY } = process.env;
const TOLERANCE_SECONDS = 300;
const BODY_MAX_BYTES = 1024 * 1024;
// The key is what follows `whsec_`, decoded.
const key = Buffer.from(WEBHOOK_SECRET.replace(/^whsec_/, ''), 'base64');

// The copy. `positions` has the last applied `seq` of each configuration, and is stored together with the data.
const copy = existsSync(COPY_FILE) ? JSON.parse(readFileSync(COPY_FILE)) : { positions: {}, users: {}, groups: {} };

// Replaces the file as a whole: after a crash it is the one from before or the one from after.
function save() {
  const file = openSync(`${COPY_FILE}.new`, 'w');
  writeSync(file, JSON.stringify(copy));
  fsyncSync(file);
  closeSync(file);
  renameSync(`${COPY_FILE}.new`, COPY_FILE);
}

function isAuthentic(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signatures = '' } = headers;
  // Also false if the time is not a number.
  if (!(Math.abs(Date.now() / 1000 - Number(time)) <= TOLERANCE_SECONDS)) return false;
  const expected = createHmac('sha256', key).update(`${id}.${time}.`).update(body).digest();
  return signatures.split(' ').some((signature) => {
    const [version, value = ''] = signature.split(',');
    const given = Buffer.from(value, 'base64');
    return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected);
  });
}

// Applies an event, unless it was applied before.
function apply(configuration, event) {
  const position = copy.positions[configuration] ?? -1;
  // Events of the first load all have the `seq` at which it began; what happened since then follows as live events.
  if (event.backfill ? event.seq < position : event.seq <= position) return;
  change(event);
  copy.positions[configuration] = event.seq;
}

function change({ kind, resourceId: id, version, data = {}, backfill }) {
  const [subject, action] = kind.split('.');
  if (subject === 'configuration') return;
  const records = subject === 'user' ? copy.users : copy.groups;
  const record = records[id];
  const isOutdated = version < record?.version;
  if (action === 'deleted') {
    // An older deletion than the copy: the resource was restored, and a first load has read it since. The memberships that it
    // has again follow as events.
    if (!isOutdated) delete records[id];
    else if (record.members) record.members = [];
    for (const group of Object.values(copy.groups)) group.members = group.members.filter((member) => member !== id);
    return;
  }
  // The data was removed by a purge, and the deletion follows.
  if (data.redacted) return;
  // An older event than the copy, after a first load. The members of a group do not have its version: the load reads them later.
  if (isOutdated && !action.startsWith('member_')) return;
  if (action === 'created' || action === 'restored') {
    records[id] = { version, attributes: data.after, members: record?.members ?? [] };
    return;
  }
  // A change of a resource that was deleted before the first load read it.
  if (!record) return;
  // A group can change while the pages of the first load are read: its version stays that of its first event.
  if (!backfill) record.version = Math.max(record.version, version);
  const members = (data.members ?? []).map((member) => member.value);
  if (action === 'member_added') record.members = [...new Set([...record.members, ...members])];
  else if (action === 'member_removed') record.members = record.members.filter((one) => !members.includes(one));
  else for (const path of data.changed ?? []) changeAttribute(record.attributes, path, data.after);
}

// `title`, or `urn:…:User:department` for an attribute in the object of an extension.
function changeAttribute(attributes, path, after) {
  const colon = path.lastIndexOf(':');
  const [urn, name] = [path.slice(0, Math.max(colon, 0)), path.slice(colon + 1)];
  const target = urn ? (attributes[urn] ??= {}) : attributes;
  const value = (urn ? after[urn] : after)?.[name];
  if (value === undefined) delete target[name];
  else target[name] = value;
  if (urn && Object.keys(target).length === 0) delete attributes[urn];
}

// Reads the data of an event that was sent without it.
async function complete(event) {
  if (event.data || event.kind.endsWith('.deleted')) return event;
  if (event.backfill && event.kind === 'group.member_added') throw new Error('a first load needs the payload "full"');
  const list = event.resourceType === 'User' ? 'users' : 'groups';
  const path = event.backfill ? `${list}/${event.resourceId}` : `events/${event.seq}`;
  const response = await fetch(`${ROLLCALL_URL}/directory/resources/v1/${path}`, {
    headers: { authorization: `Bearer ${ROLLCALL_KEY}` },
  });
  // A resource that was deleted since: the live event follows.
  if (event.backfill && response.status === 404) return { ...event, data: { redacted: true } };
  if (!response.ok) throw new Error(`${path}: status ${response.status}`);
  const found = await response.json();
  return event.backfill ? { ...event, version: found.version, data: { after: found.resource } } : found;
}

async function receive(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > BODY_MAX_BYTES) return 413;
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  if (!isAuthentic(request.headers, body)) return 401;
  // A request of the type `webhook.test` has no events.
  const { configurationId, events = [] } = JSON.parse(body).data;
  for (const event of events) {
    const whole = await complete(event);
    apply(configurationId, whole);
  }
  // Also if all events were applied before: storing them could have failed.
  save();
  return 204;
}

const attributesOf = (records) => Object.fromEntries(Object.entries(records).map(([id, one]) => [id, one.attributes]));

createServer(async (request, response) => {
  if (request.method === 'GET' && request.url === '/state') {
    const memberships = Object.entries(copy.groups).flatMap(([group, { members }]) => members.map((one) => [group, one]));
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ users: attributesOf(copy.users), groups: attributesOf(copy.groups), memberships }));
    return;
  }
  try {
    response.statusCode = await receive(request);
    response.end();
  } catch (error) {
    // The server sends the request again.
    response.statusCode = 500;
    response.end(String(error));
  }
}).listen(Number(PORT), '127.0.0.1');
