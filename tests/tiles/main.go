// Verifies a directory of C2SP tlog-tiles with the code of Go's checksum database, which shares no line with Valetkey.
//
// usage: tiles DIR VKEY [PROOF]: checks the signed checkpoint, every tile, every entry against its leaf, and a tlog-proof.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"valetkey.test/tiles/note"
	"valetkey.test/tiles/tlog"
)

const height = 8

func fail(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

// place is the path of a tile or bundle as tlog-tiles has it; Go's own differs in the first elements.
func place(kind string, tile tlog.Tile) string {
	path := tile.Path()
	rest := strings.SplitN(path, "/", 4)[3]
	return "tile/" + kind + "/" + rest
}

type files struct{ dir string }

func (f files) Height() int { return height }

func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := os.ReadFile(filepath.Join(f.dir, place(strconv.Itoa(tile.L), tile)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

func checkpoint(text []byte, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	fail("key", err)
	opened, err := note.Open(text, note.VerifierList(verifier))
	fail("checkpoint", err)
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	fail("size", err)
	raw, err := base64.StdEncoding.DecodeString(lines[2])
	fail("root", err)
	var root tlog.Hash
	copy(root[:], raw)
	return tlog.Tree{N: size, Hash: root}
}

func bundle(dir string, index, size int64) [][]byte {
	width := min(size-index*256, 256)
	data, err := os.ReadFile(filepath.Join(dir, place("entries", tlog.Tile{H: height, L: 0, N: index, W: int(width)})))
	fail("entries", err)
	var entries [][]byte
	for len(data) > 0 {
		length := int(binary.BigEndian.Uint16(data))
		entries = append(entries, data[2:2+length])
		data = data[2+length:]
	}
	if int64(len(entries)) != width {
		fail("entries", errors.New("another number than there should be"))
	}
	return entries
}

func proof(path, vkey string) {
	text, err := os.ReadFile(path)
	fail("proof", err)
	head, note, _ := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	entry, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	fail("entry", err)
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	fail("index", err)
	var hashes tlog.RecordProof
	for _, line := range lines[3:] {
		raw, err := base64.StdEncoding.DecodeString(line)
		fail("hash", err)
		var hash tlog.Hash
		copy(hash[:], raw)
		hashes = append(hashes, hash)
	}
	tree := checkpoint(note, vkey)
	fail("proof", tlog.CheckRecord(hashes, tree.N, tree.Hash, index, tlog.RecordHash(entry)))
	fmt.Printf("proof of entry %d holds\n", index)
}

func main() {
	dir, vkey := os.Args[1], os.Args[2]
	note, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	fail("checkpoint", err)
	tree := checkpoint(note, vkey)
	// The reader authenticates every tile that it reads against the signed root.
	reader := tlog.TileHashReader(tree, files{dir})
	for index := int64(0); index*256 < tree.N; index++ {
		for at, entry := range bundle(dir, index, tree.N) {
			id := index*256 + int64(at)
			hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, id)})
			fail("tile", err)
			if hashes[0] != tlog.RecordHash(entry) {
				fail("entry", fmt.Errorf("entry %d does not have its hash", id))
			}
		}
	}
	fmt.Printf("%d entries hold\n", tree.N)
	if len(os.Args) > 3 {
		proof(os.Args[3], vkey)
	}
}
