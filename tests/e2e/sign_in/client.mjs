// Signs in at an issuer as an application would, by openid-client. Reads {issuer, redirect, person}
// on its standard input and prints the claims of the ID token.
import * as client from 'openid-client'

let given = ''
for await (const chunk of process.stdin) given += chunk
const { issuer, redirect, person } = JSON.parse(given)

const config = await client.discovery(
  new URL(issuer), 'sandbox-app', undefined, client.None(),
  { execute: [client.allowInsecureRequests] })
const pkceCodeVerifier = client.randomPKCECodeVerifier()
const expectedState = client.randomState()
const expectedNonce = client.randomNonce()
const url = client.buildAuthorizationUrl(config, {
  redirect_uri: redirect,
  scope: 'openid',
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: 'S256',
  state: expectedState,
  nonce: expectedNonce,
  max_age: '600',
})
const form = new URLSearchParams(url.searchParams)
form.set('person', person)
const picked = await fetch(url.origin + url.pathname, {
  method: 'POST', body: form, redirect: 'manual' })
const back = new URL(picked.headers.get('location'))
const tokens = await client.authorizationCodeGrant(config, back, {
  pkceCodeVerifier, expectedState, expectedNonce, maxAge: 600, idTokenExpected: true })
let replayed = 'taken twice'
try {
  await client.authorizationCodeGrant(config, back, {
    pkceCodeVerifier, expectedState, expectedNonce, maxAge: 600, idTokenExpected: true })
} catch (refused) {
  replayed = refused.error
}
console.log(JSON.stringify({ claims: tokens.claims(), replayed }))
