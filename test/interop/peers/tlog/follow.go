// Follows a published log with Go's own packages: golang.org/x/mod/sumdb/note and tlog.
// follow FOLDER LOGKEY WITNESSKEY OLDCHECKPOINT CONSISTENCY PROOF COMMITMENT
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Println("FAILED:", err)
		os.Exit(1)
	}
}

func read(name string) string {
	text, err := os.ReadFile(name)
	must(err)
	return string(text)
}

// A cosigner: Ed25519 over "cosignature/v1", the time and the text (c2sp.org/tlog-cosignature).
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }
func (c cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), msg)
	return ed25519.Verify(c.key, []byte(signed), sig[8:])
}

func newCosigner(vkey string) cosigner {
	parts := strings.SplitN(vkey, "+", 3)
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	must(err)
	if len(raw) != 33 || raw[0] != 4 {
		must(fmt.Errorf("key of the witness is of type %d", raw[0]))
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), raw...))
	return cosigner{parts[0], binary.BigEndian.Uint32(sum[:]), ed25519.PublicKey(raw[1:])}
}

func treeOf(text string) tlog.Tree {
	lines := strings.Split(text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	hash, err := tlog.ParseHash(lines[2])
	must(err)
	return tlog.Tree{N: size, Hash: hash}
}

type folder string

func (f folder) Height() int                          { return 8 }
func (f folder) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		// C2SP leaves out the height.
		data, err := os.ReadFile(filepath.Join(string(f), strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func hashes(lines string) []tlog.Hash {
	var all []tlog.Hash
	for _, line := range strings.Fields(lines) {
		hash, err := tlog.ParseHash(line)
		must(err)
		all = append(all, hash)
	}
	return all
}

func main() {
	args := os.Args[1:]
	logVerifier, err := note.NewVerifier(args[1])
	must(err)
	witness := newCosigner(args[2])

	head, err := note.Open([]byte(read(filepath.Join(args[0], "checkpoint"))), note.VerifierList(logVerifier, witness))
	must(err)
	if len(head.Sigs) != 2 {
		must(fmt.Errorf("%d signatures verify, not those of log and witness", len(head.Sigs)))
	}
	tree := treeOf(head.Text)
	reader := tlog.TileHashReader(tree, folder(args[0]))

	// Entries of the bundles are the leaves that the tiles say, and provable.
	count := int64(0)
	for n := int64(0); n*256 < tree.N; n++ {
		width := 256
		if tree.N-n*256 < 256 {
			width = int(tree.N - n*256)
		}
		tile := tlog.Tile{H: 8, L: -1, N: n, W: width}
		data := []byte(read(filepath.Join(args[0], strings.Replace(strings.Replace(tile.Path(), "tile/8/", "tile/", 1), "/data/", "/entries/", 1))))
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			entry := data[2 : 2+length]
			data = data[2+length:]
			// In a long log a few hundred, spread over all of it.
			if count%(tree.N/300+1) == 0 || count == tree.N-1 {
				proof, err := tlog.ProveRecord(tree.N, count, reader)
				must(err)
				must(tlog.CheckRecord(proof, tree.N, tree.Hash, count, tlog.RecordHash(entry)))
			}
			count++
		}
	}
	if count != tree.N {
		must(fmt.Errorf("%d entries in bundles, %d signed", count, tree.N))
	}

	older, err := note.Open([]byte(read(args[3])), note.VerifierList(logVerifier))
	must(err)
	old := treeOf(older.Text)
	proof, err := tlog.ProveTree(tree.N, old.N, reader)
	must(err)
	must(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash))
	must(tlog.CheckTree(hashes(read(args[4])), tree.N, tree.Hash, old.N, old.Hash))

	receipt := strings.SplitN(read(args[5]), "\n\n", 2)
	lines := strings.SplitN(receipt[0], "\n", 3)
	if lines[0] != "c2sp.org/tlog-proof@v1" {
		must(fmt.Errorf("no tlog-proof: %s", lines[0]))
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	must(err)
	signed, err := note.Open([]byte(receipt[1]), note.VerifierList(logVerifier, witness))
	must(err)
	commitment, err := hex.DecodeString(args[6])
	must(err)
	under := treeOf(signed.Text)
	must(tlog.CheckRecord(hashes(lines[2]), under.N, under.Hash, index, tlog.RecordHash(commitment)))
	fmt.Printf("ok %d entries, %d signatures, consistent with %d\n", count, len(head.Sigs), old.N)
}
