/** VERIFY.md: how to verify a bundle with standard tools alone. Its code blocks are run literally by a test. */
import type { EvidenceReport } from './report.ts';

const TITLE = '# Verifying this bundle with standard tools';

/** The same for every bundle but for the name of the letter and what is not sealed yet. */
export function instructions(report: EvidenceReport): string {
  const unsealed =
    report.unsealed.length === 0
      ? 'Every entry in it is under a time-stamp.'
      : `Under no time-stamp yet: entries ${report.unsealed.join(', ')}. For them, the log vouches alone.`;
  return `${TITLE}\n\nLetter ${report.tenant}/${report.letter}. ${unsealed}\n${STEPS}`;
}

const STEPS = String.raw`
Needed: a POSIX shell, openssl 3, unzip, xmllint, xxd, GNU coreutils, awk. No program of the gateway is used.
Run the blocks one after the other in one shell. Every command must succeed: \`set -e\` ends the shell at the first that
does not. Three things must come from a source that you trust, **not from this bundle**:

- \`BUNDLE\`: this bundle (absolute path);
- \`ANCHORS\`: PEM file with the root certificates of the time-stamping authorities;
- \`LOG_KEY\`: verifier key of the office's log, as the office publishes it; several, with spaces between, where the log
  changed its key.

~~~sh
set -eu
: "$BUNDLE" "$ANCHORS" "$LOG_KEY"
export LC_ALL=C
WORK=$(mktemp -d)
TMP=$(mktemp -d)
~~~

## 1. The container

\`mimetype\` comes first, uncompressed and without extra field (ETSI EN 319 162-1 A.1).

~~~sh
part() { dd if="$BUNDLE" bs=1 skip="$1" count="$2" 2>/dev/null; }
test "$(part 8 2 | xxd -p)" = 0000
test "$(part 28 2 | xxd -p)" = 0000
test "$(part 30 39)" = mimetypeapplication/vnd.etsi.asic-e+zip
unzip -tq "$BUNDLE"
unzip -q "$BUNDLE" -d "$WORK"
cd "$WORK"
~~~

## 2. No file is missing, none was added

\`SHA256SUMS\` lists every file but itself and its signature.

~~~sh
sha256sum --check --strict --quiet SHA256SUMS
find . -type f | sed 's|^\./||' | grep -v '^SHA256SUMS' | sort > "$TMP/there"
cut -c 67- SHA256SUMS | sort > "$TMP/listed"
diff "$TMP/listed" "$TMP/there"
~~~

The log's key signed the list, as a signed note (c2sp.org/signed-note). A verifier key is name, key id and, in base64,
one byte for the type and the 32 bytes of an Ed25519 key.

~~~sh
# pem KEY: the public key of a verifier key
pem() {
  echo '-----BEGIN PUBLIC KEY-----'
  {
    printf 302a300506032b6570032100 | xxd -r -p
    printf %s "$1" | cut -d + -f 3- | base64 -d | tail -c 32
  } | base64
  echo '-----END PUBLIC KEY-----'
}
# signed FILE: the note in FILE carries a valid signature of a LOG_KEY
signed() {
  sed '/^$/,$d' "$1" > "$TMP/text"
  for key in $LOG_KEY; do
    awk -v name="$(printf %s "$key" | cut -d + -f 1)" '$2 == name { print $3 }' "$1" > "$TMP/signatures"
    while read -r signature; do
      printf %s "$signature" | base64 -d > "$TMP/signature"
      if [ "$(head -c 4 "$TMP/signature" | xxd -p)" = "$(printf %s "$key" | cut -d + -f 2)" ]; then
        pem "$key" > "$TMP/key.pem"
        tail -c +5 "$TMP/signature" > "$TMP/bare"
        openssl pkeyutl -verify -pubin -inkey "$TMP/key.pem" -rawin -in "$TMP/text" -sigfile "$TMP/bare" > /dev/null
        return 0
      fi
    done < "$TMP/signatures"
  done
  echo "$1: no signature of $LOG_KEY" >&2
  return 1
}
signed SHA256SUMS.note
test "$(sed -n 's/^sha256 //p' SHA256SUMS.note)" = "$(sha256sum SHA256SUMS | cut -c 1-64)"
~~~

## 3. Each entry stands in the log

An entry is known to the log as SHA-256(0x00, SHA-256(salt, entry)). The path in its \`.tlog-proof\` leads from there to
the root in the signed checkpoint (RFC 9162 2.1.3.2).

~~~sh
sha() { sha256sum | cut -c 1-64; }
for entry in entry-*.json; do
  number=$(basename "$entry" .json | cut -c 7-)
  proof=entry-$number.tlog-proof
  commitment=$(cat "salt-$number.bin" "$entry" | sha)
  node=$(printf '00%s' "$commitment" | xxd -r -p | sha)
  sed '1,/^$/d' "$proof" > "$TMP/checkpoint"
  signed "$TMP/checkpoint"
  fn=$(sed -n '2s/^index //p' "$proof")
  sn=$(($(sed -n 2p "$TMP/checkpoint") - 1))
  sed '/^$/,$d' "$proof" | sed 1,2d > "$TMP/path"
  while read -r step; do
    other=$(printf %s "$step" | base64 -d | xxd -p -c 64)
    test "$sn" -gt 0
    if [ $((fn % 2)) = 1 ] || [ "$fn" = "$sn" ]; then
      node=$(printf '01%s%s' "$other" "$node" | xxd -r -p | sha)
      while [ $((fn % 2)) = 0 ] && [ "$fn" != 0 ]; do fn=$((fn / 2)) sn=$((sn / 2)); done
    else
      node=$(printf '01%s%s' "$node" "$other" | xxd -r -p | sha)
    fi
    fn=$((fn / 2)) sn=$((sn / 2))
  done < "$TMP/path"
  test "$sn" = 0
  test "$node" = "$(sed -n 3p "$TMP/checkpoint" | base64 -d | xxd -p -c 64)"
  echo "$entry: in the log"
done
~~~

## 4. Evidence records and time-stamps (RFC 4998)

Each manifest in \`META-INF\` names a record and its files. A record is a sequence of chains of archive time-stamps. The
first list of the first one is exactly the digests of the files. The value of a list is the digest of its sorted and
concatenated elements, and an element of the next list. The last value is what the token is over. Each later archive
time-stamp of a chain covers the token before it; each later chain covers, for each file,
H( H(file), H(DER of all chains before) ).

~~~sh
piece() { tail -c +$(($1 + 1)) "$record" | head -c "$2"; }
digest() { openssl dgst "-sha$bits" -r | cut -d ' ' -f 1; }
# Folds the list that was read into the value so far.
fold() {
  [ -s "$TMP/list" ] || return 0
  [ -z "$value" ] || echo "$value" >> "$TMP/list"
  if [ "$(wc -l < "$TMP/list")" = 1 ]; then value=$(cat "$TMP/list")
  else value=$(sort "$TMP/list" | tr -d '\n' | xxd -r -p | digest); fi
  : > "$TMP/list"
}
# What the first list of an archive time-stamp must be.
expected() {
  if [ "$first" = 1 ] && [ ! -s "$TMP/older" ]; then
    for file in $files; do digest < "$file"; done
  elif [ "$first" = 1 ]; then
    length=$(printf %x "$(wc -c < "$TMP/older")")
    [ $(($${'{'}#length} % 2)) = 0 ] || length=0$length
    if [ $((0x$length)) -lt 128 ]; then header=30$length
    else header=30$(printf %x $((128 + $${'{'}#length} / 2)))$length; fi
    before=$({ printf %s "$header" | xxd -r -p; cat "$TMP/older"; } | digest)
    for file in $files; do printf '%s%s' "$(digest < "$file")" "$before" | xxd -r -p | digest; done
  else
    digest < "$TMP/token"
  fi
}
# The token is over VALUE, by an authority that ANCHORS vouch for, not revoked when its list was issued.
stamped() {
  openssl ts -reply -token_in -in "$TMP/token" -text 2> /dev/null > "$TMP/said"
  gentime=$(sed -n 's/^Time stamp: //p' "$TMP/said" | sed 's/\.[0-9]*//')
  openssl ts -verify -digest "$value" -token_in -in "$TMP/token" -CAfile "$ANCHORS" \
    -attime "$(date -d "$gentime" +%s)" > "$TMP/said" 2>&1 || { cat "$TMP/said" >&2; return 1; }
  rm -f "$TMP"/crl-*
  openssl pkcs7 -inform DER -in "$TMP/token" -print_certs |
    awk -v to="$TMP/crl-" '/BEGIN X509 CRL/ { n++; on = 1 } on { print > (to n) } /END X509 CRL/ { on = 0 }'
  issued=0
  for crl in "$TMP"/crl-*; do
    [ -e "$crl" ] || continue
    at=$(date -d "$(openssl crl -in "$crl" -noout -lastupdate | cut -d = -f 2)" +%s)
    [ "$at" -le "$issued" ] || issued=$at
  done
  if [ "$issued" = 0 ]; then echo "$record: no revocation list inside; ask the authority" >&2
  else
    openssl cms -verify -inform DER -in "$TMP/token" -CAfile "$ANCHORS" -purpose timestampsign -crl_check_all \
      -attime "$issued" -out /dev/null 2> "$TMP/said" || { cat "$TMP/said" >&2; return 1; }
  fi
  echo "$record: time-stamp of $gentime"
}
for manifest in META-INF/ASiCEvidenceRecordManifest*.xml; do
  [ -e "$manifest" ] || continue
  record=$(xmllint --nonet --xpath 'string(//*[local-name()="SigReference"]/@URI)' "$manifest")
  files=$(xmllint --nonet --xpath '//*[local-name()="DataObjectReference"]/@URI' "$manifest" |
    sed 's/[^"]*"\([^"]*\)"/\1 /g')
  # Places of chains, lists, hashes and tokens within the record.
  openssl asn1parse -inform DER -in "$record" | sed 's/= */=/g' | awk '
    { split($1, at, ":d="); offset = at[1] + 0; depth = at[2] + 0; head = substr($2, 4) + 0; rest = substr($3, 3) + 0 }
    depth == 1 && $5 == "SEQUENCE" { sequences++ }
    sequences < 2 { next }
    depth == 2 { print "chain", offset, head + rest }
    depth == 4 { tree = $5 == "cont" && $7 == 2 }
    depth == 4 && $5 == "SEQUENCE" { print "token", offset, head + rest }
    depth == 5 && tree { print "list", 0, 0 }
    depth == 6 && tree { print "hash", offset + head, rest }' > "$TMP/places"
  : > "$TMP/older"; : > "$TMP/chain"; : > "$TMP/list"
  lists=0 value= first=1
  while read -r what offset length; do
    case $what in
      chain) cat "$TMP/chain" >> "$TMP/older"; piece "$offset" "$length" > "$TMP/chain"; first=1 ;;
      list) if [ "$lists" = 1 ]; then cp "$TMP/list" "$TMP/first"; fi; fold; lists=$((lists + 1)) ;;
      hash) bits=$((length * 8)); piece "$offset" "$length" | xxd -p -c 64 >> "$TMP/list" ;;
      token)
        test "$lists" -gt 0
        if [ "$lists" = 1 ]; then cp "$TMP/list" "$TMP/first"; fi
        fold
        expected | sort > "$TMP/expected"
        sort "$TMP/first" | diff "$TMP/expected" -
        piece "$offset" "$length" > "$TMP/token"
        stamped
        lists=0 value= first=0 ;;
    esac
  done < "$TMP/places"
done
~~~

Whether an algorithm of an older archive time-stamp still counted when the next one came is for you to judge.

## 5. What was handed over

Each hand-over sent a header of its own before the body of the submitted message; the entry states the digest of both
together.

~~~sh
for message in handed-over-*.eml; do
  [ -e "$message" ] || continue
  number=$(basename "$message" .eml | cut -c 13-)
  entry=entry-$number.json
  from=$(sed -n 's/.*"handed":{"bodyFrom":\([0-9]*\),.*/\1/p' "$entry")
  { cat "handed-over-$number.header"; tail -c +$((from + 1)) message.eml; } | cmp - "$message"
  grep -q "\"sha256\":\"$(sha < "$message")\"" "$entry"
  echo "$message: as handed over"
done
~~~

## 6. Signatures of De-Mail providers

Confirmations and received messages carry the provider's signature in the header \`X-de-mail-integrity\` (BSI TR-01201)
and, confirmations, an enveloped XML signature in an attachment, which \`xmlsec1 --verify\` checks. Certificates and
revocation data that the gateway used lie beside them (\`certificate-…\`, \`crl-…\`, \`ocsp-…\`). What the header's
signature covers needs the canonical form of TR-01201; \`demail-gateway verify FILE --print-signed-bytes\` writes it.

## What this does not show

The files are what the office's gateway recorded, unchanged, at the latest at the times of the time-stamps. Whether the
gateway observed rightly, and who read a message, no signature says. \`report.pdf\` and \`report.json\` are put together
from the entries; the entries count.

~~~sh
rm -rf "$WORK" "$TMP"
echo 'the bundle verifies'
~~~
`.replaceAll('\\`', '`');
