// Ten thousand tokens, judged by us and by npm's jose, an unrelated reading of the same standards. crates/fuzz makes them,
// good and bad, and says our verdict.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { binary } from './lib/hallpass.mjs';

// What we refuse and jose takes, by our reason, with how many of the tokens are like that.
const STRICTER = {
  // RFC 7515 §4, RFC 7519 §4: JSON.parse reads the last of two members with one name, others the first.
  'Jws(HeaderJson(DuplicateMember))': 207,
  'ClaimsJson(DuplicateMember)': 223,
  // RFC 7515 §2: base64url without padding, line breaks or spare bits. A signature that can be respelt voids a block list.
  'Jws(HeaderEncoding)': 85,
  'Jws(PayloadEncoding)': 161,
  'Jws(SignatureEncoding)': 170,
  // RFC 7797, RFC 7516 §4.1.3: it passes over them where `crit` does not list them.
  'Jws(UnencodedPayload)': 39,
  'Jws(Compressed)': 16,
  // RFC 8259 §8.1; a number beyond all others is no number; sixteen levels are enough for any claim.
  'ClaimsJson(ByteOrderMark)': 57,
  'ClaimsJson(Syntax)': 68,
  'ClaimsJson(TooDeep)': 54,
  // RFC 9068 §2.2: that these claims are there is asked of it, what they are is left to its caller.
  SubjectForm: 109,
  ClientIdForm: 106,
  TokenIdForm: 110,
  ScopeForm: 105,
  // RFC 7519 §4.1.3: strings, all of them.
  AudienceForm: 14,
  // Negative and huge ones are no second of any calendar; `iat` it only reads where a greatest age is given.
  ExpiryForm: 12,
  NotBeforeForm: 12,
  IssuedAtForm: 7,
  IssuedInTheFuture: 56,
  // RFC 7800 §3.1, RFC 8693 §4.1: bindings and chains that we cannot check are not passed over.
  ConfirmationForm: 92,
  ConfirmationUnsupported: 54,
  ActorForm: 114,
};
// What jose refuses and we take, by what was done to the token.
const WIDER = {
  // RFC 9864 §2.2: the newer name of the same algorithm, which is not the one in the key set.
  'alg "Ed25519"': 15,
};

const count = (counts, name) => (counts[name] = (counts[name] ?? 0) + 1);

test('T-40 T-42 T-47 T-48: jose and we say the same of ten thousand tokens, but for what is listed', { timeout: 240_000 }, async () => {
  const made = execFileSync(join(dirname(binary()), 'tokens'), { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  const [first, ...cases] = made.trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(cases.length, 10_000);
  const keys = createLocalJWKSet(first.keys);
  const options = {
    issuer: first.issuer,
    audience: first.audience,
    typ: 'at+jwt',
    algorithms: ['ES256', 'EdDSA', 'Ed25519', 'RS256'],
    clockTolerance: first.leeway,
    currentDate: new Date(first.now * 1000),
    requiredClaims: ['exp', 'sub', 'client_id', 'jti'],
  };
  const [stricter, wider, both] = [{}, {}, { accepted: 0, refused: 0 }];
  for (const { what, text, refused } of cases) {
    const theirs = await jwtVerify(text, keys, options).then(() => null, (error) => error);
    if (refused && theirs) both.refused += 1;
    else if (!refused && !theirs) both.accepted += 1;
    else if (refused) count(stricter, refused);
    else count(wider, what.split(', ')[0]);
  }
  console.log(`seed ${first.seed}: ${both.accepted} accepted by both, ${both.refused} refused by both`);
  assert.deepEqual({ stricter, wider }, { stricter: STRICTER, wider: WIDER }, `seed ${first.seed}`);
});
