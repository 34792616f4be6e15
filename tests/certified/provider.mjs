// An OpenID-certified provider for tests: oidc-provider over TLS on a free port of 127.0.0.1.
//
//   node provider.mjs PACKAGES CERTIFICATE KEY
//
// PACKAGES is the folder with node_modules. One JSON object per line on standard input registers a client (metadata of
// OpenID Connect Registration, and `access_token_seconds`); what happens goes to standard output, one JSON object per
// line, `{"event": "ready", "issuer": ...}` first, `{"event": "mark"}` for each `{"mark": ...}` that came in. The end of
// standard input ends the process: nothing outlives a test.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { setDefaultResultOrder } from 'node:dns';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [packages, certificateFile, keyFile] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${packages}/`));
const { default: Provider } = await load('oidc-provider');
const { default: MemoryAdapter } = await load('oidc-provider/lib/adapters/memory_adapter.js');
const clients = new MemoryAdapter('Client'); // the provider's own: what it looks up by client_id

function load(name) {
  return import(pathToFileURL(require.resolve(name)));
}

const PEOPLE = {
  alice: {
    name: 'Alice Example', preferred_username: 'alice', email: 'alice@corp.example', email_verified: true,
    roles: ['analyst', 'admin'], groups: ['science'],
  },
  bob: {
    name: 'Bob Example', preferred_username: 'bob', email: 'bob@corp.example', email_verified: true,
    roles: ['viewer'], groups: [],
  },
};

const EVENTS = [
  'authorization.error', 'authorization.success', 'backchannel.error', 'backchannel.success', 'end_session.error',
  'end_session.success', 'grant.error', 'grant.revoked', 'grant.success', 'pushed_authorization_request.error',
  'pushed_authorization_request.success', 'revocation.error', 'server_error', 'userinfo.error',
];

function say(event, facts = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`);
}

function makeKey(type, options, members) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), ...members };
}

// As real providers publish them: one RSA key for two algorithms, and a neighbour that signs nobody's ID token.
function makeKeys() {
  return [
    makeKey('ec', { namedCurve: 'P-384' }, { use: 'sig', alg: 'ES384' }),
    makeKey('rsa', { modulusLength: 2048 }, { use: 'sig' }),
    makeKey('ec', { namedCurve: 'P-256' }, { use: 'sig', alg: 'ES256' }),
    makeKey('ed25519', {}, { use: 'sig', alg: 'EdDSA' }),
  ];
}

// Every client belongs to the house: nobody is asked to consent.
async function grantOf(ctx) {
  const { client, session, provider } = ctx.oidc;
  const known = session.grantIdFor(client.clientId);
  if (known) return provider.Grant.find(known);
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope('openid profile email');
  await grant.save();
  return grant;
}

function makeProvider(issuer) {
  return new Provider(issuer, {
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username', 'roles', 'groups'],
      email: ['email', 'email_verified'],
    },
    cookies: { keys: [randomUUID()] },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'] },
    extraClientMetadata: { properties: ['access_token_seconds'] },
    features: {
      backchannelLogout: { enabled: true },
      devInteractions: { enabled: false },
      jwtUserinfo: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    findAccount: (ctx, id) => PEOPLE[id] && { accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    jwks: { keys: makeKeys() },
    loadExistingGrant: grantOf,
    pkce: { methods: ['S256'], required: () => true },
    rotateRefreshToken: true,
    ttl: {
      AccessToken: (ctx, token, client) => client.access_token_seconds ?? 300,
      Grant: 3600, IdToken: 300, Interaction: 300, RefreshToken: 3600, Session: 3600,
    },
  });
}

// The library hands listeners a context first, then a client, an error, or both.
function report(provider) {
  for (const event of EVENTS) {
    provider.on(event, (ctx, ...rest) => {
      const error = rest.find((each) => each instanceof Error);
      const client = rest.find((each) => each?.clientId) ?? ctx.oidc?.client;
      say(event, {
        client_id: client?.clientId,
        grant_type: ctx.oidc?.params?.grant_type,
        error: error && (error.error ?? error.message),
        detail: error && (error.error_detail ?? error.error_description),
      });
    });
  }
}

const FORMS = Object.keys(PEOPLE).map((person) => `<form id="person-${person}" method="post">
  <input type="hidden" name="person" value="${person}"><button>${person}</button></form>`);

async function signIn(provider, request, response) {
  if (request.method !== 'POST') {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
    response.end(`<!doctype html><title>Sign in</title>${FORMS.join('')}`);
    return;
  }
  let body = '';
  for await (const chunk of request) body += chunk;
  const accountId = new URLSearchParams(body).get('person');
  await provider.interactionFinished(request, response, { login: { accountId } });
}

async function obey(provider, line) {
  const metadata = JSON.parse(line);
  if ('mark' in metadata) {
    say('mark', metadata);
    return;
  }
  await clients.upsert(metadata.client_id, metadata);
  try {
    await provider.Client.find(metadata.client_id);
    say('client', { client_id: metadata.client_id });
  } catch (error) {
    say('client', { client_id: metadata.client_id, error: error.error_description ?? error.message });
  }
}

function serve(server) {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  const provider = makeProvider(issuer);
  const answer = provider.callback();
  report(provider);
  server.on('request', (request, response) => {
    if (!request.url.startsWith('/interaction/')) {
      answer(request, response);
      return;
    }
    signIn(provider, request, response).catch((error) => {
      response.writeHead(400, { 'content-type': 'text/plain' });
      response.end(String(error));
    });
  });
  createInterface({ input: process.stdin })
    .on('line', (line) => obey(provider, line))
    .on('close', () => process.exit(0));
  say('ready', { issuer });
}

console.info = console.error; // the library's notices; standard output is for events alone
setDefaultResultOrder('ipv4first'); // the relying parties of these tests listen on 127.0.0.1 alone
const server = createServer({ cert: readFileSync(certificateFile), key: readFileSync(keyFile) });
server.listen(0, '127.0.0.1', () => serve(server));
