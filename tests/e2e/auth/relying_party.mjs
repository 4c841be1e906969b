// An app where people sign in at the sandbox's issuer, by openid-client; its keys by jose. It reads on
// its standard input: issuer, client, back (where browsers return to) and person.
import { json as read } from 'node:stream/consumers'
import * as jose from 'jose'
import * as openid from 'openid-client'

const { issuer, client, back, person } = await read(process.stdin)

const config = await openid.discovery(new URL(issuer), client, undefined, openid.None(), {
  execute: [openid.allowInsecureRequests],
})

// The browser: it shows the page, somebody picks a person on it, and it goes where it is sent.
async function returned(parameters) {
  const url = openid.buildAuthorizationUrl(config, parameters)
  const page = await (await fetch(url)).text()
  const kept = [...page.matchAll(/name="([^"]+)" value="([^"]*)">/g)]
    .map(([, name, value]) => [name, value.replaceAll('&amp;', '&')])
    .filter(([name]) => name !== 'person')
  const body = new URLSearchParams([...kept, ['person', person]])
  const answer = await fetch(`${url.origin}${url.pathname}`, { method: 'POST', body, redirect: 'manual' })
  return new URL(answer.headers.get('location'))
}

async function signedIn(change = (checks) => checks) {
  const pkceCodeVerifier = openid.randomPKCECodeVerifier()
  const checks = {
    pkceCodeVerifier,
    expectedNonce: openid.randomNonce(),
    expectedState: openid.randomState(),
    idTokenExpected: true,
  }
  const url = await returned({
    redirect_uri: back,
    scope: 'openid',
    code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    nonce: checks.expectedNonce,
    state: checks.expectedState,
  })
  return [url, await openid.authorizationCodeGrant(config, url, change(checks))]
}

const [url, tokens] = await signedIn()
const keys = jose.createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri))
const verified = await jose.jwtVerify(tokens.id_token, keys, { issuer, audience: client })

const refusal = async (attempt) => {
  try {
    await attempt()
    return 'none'
  } catch (error) {
    return error.error ?? error.code
  }
}
const other = openid.randomPKCECodeVerifier()
console.log(JSON.stringify({
  claims: tokens.claims(),
  algorithm: verified.protectedHeader.alg,
  named: url.searchParams.get('iss'),
  otherVerifier: await refusal(() => signedIn((checks) => ({ ...checks, pkceCodeVerifier: other }))),
  twice: await refusal(() => openid.authorizationCodeGrant(config, url, {
    idTokenExpected: true, expectedState: url.searchParams.get('state') })),
}))
