// Checks a log of ours with the Go project's own checksum-database code (golang.org/x/mod/sumdb): note for signatures,
// tlog for tiles and proofs. None of our code takes part.
//
//	ledger DIR              as `ledger_child log DIR N` wrote it
//	ledger -exported DIR    DIR/log as `hexr ledger export` wrote it, with the witness's key and `hexr ledger prove N`
package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must[T any](v T, err error) T {
	check(err == nil, "%v", err)
	return v
}

func check(ok bool, format string, args ...any) {
	if !ok {
		fmt.Fprintf(os.Stderr, "ledger peer: "+format+"\n", args...)
		os.Exit(1)
	}
}

// cosigner verifies cosignature/v1 lines; the note package knows signature type 1 only.
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

func parseCosigner(vkey string) cosigner {
	parts := strings.SplitN(strings.TrimSpace(vkey), "+", 3)
	key := must(base64.StdEncoding.DecodeString(parts[2]))
	check(key[0] == 4, "the witness key has type %d", key[0])
	return cosigner{parts[0], uint32(must(strconv.ParseUint(parts[1], 16, 32))), key[1:]}
}

type checkpoint struct {
	tree tlog.Tree
	sigs []note.Signature
}

func open(msg []byte, verifiers note.Verifiers) checkpoint {
	n := must(note.Open(msg, verifiers))
	lines := strings.Split(n.Text, "\n")
	hash := must(tlog.ParseHash(lines[2]))
	return checkpoint{tlog.Tree{N: must(strconv.ParseInt(lines[1], 10, 64)), Hash: hash}, n.Sigs}
}

// tiles reads C2SP tile paths; tlog's own have the tile height in them.
type tiles struct{ dir string }

func (t tiles) Height() int                         { return 8 }
func (t tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(t.dir, path))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

func entries(dir string, size int64) [][]byte {
	var all [][]byte
	for n := int64(0); n*256 < size; n++ {
		path := fmt.Sprintf("tile/entries/%03d", n)
		if size-n*256 < 256 {
			path += fmt.Sprintf(".p/%d", size-n*256)
		}
		data := must(os.ReadFile(filepath.Join(dir, path)))
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			all = append(all, data[2:2+length])
			data = data[2+length:]
		}
	}
	return all
}

func hashes(lines []string) []tlog.Hash {
	var out []tlog.Hash
	for _, line := range lines {
		out = append(out, must(tlog.ParseHash(line)))
	}
	return out
}

// history splits a file of signed notes that follow each other: one ends with its last signature line.
func history(text string) []string {
	var notes []string
	begin, signed := 0, false
	for at := 0; at < len(text); {
		end := at + strings.IndexByte(text[at:], '\n') + 1
		check(end > at, "a history that does not end with a line")
		is := strings.HasPrefix(text[at:end], "— ")
		if signed && !is {
			notes = append(notes, text[begin:at])
			begin = at
		}
		signed, at = is, end
	}
	return append(notes, text[begin:])
}

// earlier checks that every checkpoint the log has shown is one of the tree that it shows now.
func earlier(log string, now tlog.Tree, reader tlog.HashReader, verifiers note.Verifiers) {
	cosigned := 0
	for _, day := range must(os.ReadDir(filepath.Join(log, "checkpoints"))) {
		for _, text := range history(string(must(os.ReadFile(filepath.Join(log, "checkpoints", day.Name()))))) {
			old := open([]byte(text), verifiers)
			if len(old.sigs) == 2 {
				cosigned++
			}
			proof := must(tlog.ProveTree(now.N, old.tree.N, reader))
			err := tlog.CheckTree(proof, now.N, now.Hash, old.tree.N, old.tree.Hash)
			check(err == nil, "the checkpoint of %d entries: %v", old.tree.N, err)
		}
	}
	check(cosigned >= 2, "%d cosigned checkpoints in the history", cosigned)
}

func main() {
	exported := os.Args[1] == "-exported"
	dir := os.Args[len(os.Args)-1]
	log := filepath.Join(dir, "log")
	key := must(note.NewVerifier(strings.TrimSpace(string(must(os.ReadFile(filepath.Join(log, "log.vkey")))))))
	witness := parseCosigner(string(must(os.ReadFile(filepath.Join(dir, "witness.vkey")))))
	verifiers := note.VerifierList(key, witness)

	now := open(must(os.ReadFile(filepath.Join(log, "checkpoint"))), verifiers)
	check(len(now.sigs) == 2, "the checkpoint has %d good signatures, not the log's and the witness's", len(now.sigs))

	// TileHashReader authenticates every tile against the root before it gives a hash out.
	reader := tlog.TileHashReader(now.tree, tiles{log})
	all := entries(log, now.tree.N)
	check(int64(len(all)) == now.tree.N, "%d entries, the checkpoint says %d", len(all), now.tree.N)
	for i, entry := range all {
		index := []int64{tlog.StoredHashIndex(0, int64(i))}
		check(must(reader.ReadHashes(index))[0] == tlog.RecordHash(entry), "entry %d is not its leaf", i)
	}

	// Our inclusion proof, checked by theirs.
	proof := string(must(os.ReadFile(filepath.Join(dir, "proof"))))
	head, signed, _ := strings.Cut(proof, "\n\n")
	lines := strings.Split(head, "\n")
	record := must(base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra ")))
	index := must(strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64))
	at := open([]byte(signed), verifiers)
	err := tlog.CheckRecord(hashes(lines[3:]), at.tree.N, at.tree.Hash, index, tlog.RecordHash(record))
	check(err == nil, "inclusion: %v", err)
	check(bytes.Equal(record, all[index]), "the proof is of another record")

	if exported {
		earlier(log, now.tree, reader, verifiers)
		fmt.Printf("ledger peer: %d exported entries, every tile and checkpoint, both signatures, inclusion agree\n", now.tree.N)
		return
	}

	// Our consistency proof, as it went to the witness, checked by theirs; and theirs is the same.
	request := string(must(os.ReadFile(filepath.Join(dir, "request"))))
	head, signed, _ = strings.Cut(request, "\n\n")
	lines = strings.Split(head, "\n")
	old := must(strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64))
	check(old > 0 && old < now.tree.N, "the request starts at %d", old)
	asked := open([]byte(signed), note.VerifierList(key))
	oldHash := must(tlog.TreeHash(old, reader))
	ours := hashes(lines[1:])
	err = tlog.CheckTree(ours, asked.tree.N, asked.tree.Hash, old, oldHash)
	check(err == nil, "consistency: %v", err)
	theirs := must(tlog.ProveTree(asked.tree.N, old, reader))
	check(fmt.Sprint(ours) == fmt.Sprint(theirs), "the consistency proofs differ")

	fmt.Printf("ledger peer: %d entries, every tile, both signatures, inclusion and consistency agree\n", now.tree.N)
}
