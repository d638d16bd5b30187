// Checks trails with Go's packages sumdb/note and sumdb/tlog alone: what another implementation makes of what evaltrail
// writes. Run by tests/suite/trail_verify/go.rs.
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	commands := map[string]func([]string) error{
		"trail": trail, "proof": proof, "open": open, "sign": sign, "key": key,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: trailcheck trail FOLDER VKEY | proof VKEY | open VKEY | sign SKEY | key NAME")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func openNote(msg []byte, vkey string) (string, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return "", err
	}
	opened, err := note.Open(msg, note.VerifierList(verifier))
	if err != nil {
		return "", err
	}
	return opened.Text, nil
}

// readCheckpoint reads what tlog.ParseTree does not: its first line is another one.
func readCheckpoint(msg []byte, vkey string) (string, tlog.Tree, error) {
	text, err := openNote(msg, vkey)
	if err != nil {
		return "", tlog.Tree{}, err
	}
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 {
		return "", tlog.Tree{}, fmt.Errorf("not three lines: %q", text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return "", tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return lines[0], tlog.Tree{N: size, Hash: root}, err
}

// tiles reads tiles of tlog-tiles, whose paths do not have the height.
type tiles struct{ folder string }

func (t tiles) Height() int { return 8 }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(t.folder, path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, index := range indexes {
		hashes = append(hashes, s[index])
	}
	return hashes, nil
}

func trail(args []string) error {
	folder, vkey := args[0], args[1]
	msg, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return err
	}
	origin, tree, err := readCheckpoint(msg, vkey)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(folder, "records", "*.jsonl"))
	if err != nil {
		return err
	}
	sort.Strings(files)
	var hashes stored
	var leaves []tlog.Hash
	for _, name := range files {
		if want := fmt.Sprintf("%020d.jsonl", len(leaves)); filepath.Base(name) != want {
			return fmt.Errorf("%s instead of %s", name, want)
		}
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<26)
		for lines.Scan() {
			more, err := tlog.StoredHashes(int64(len(leaves)), lines.Bytes(), hashes)
			if err != nil {
				return err
			}
			hashes = append(hashes, more...)
			leaves = append(leaves, more[0])
		}
		if err := lines.Err(); err != nil {
			return err
		}
	}
	if int64(len(leaves)) != tree.N {
		return fmt.Errorf("%d records instead of %d", len(leaves), tree.N)
	}
	// The package has no root for no records.
	if tree.N > 0 {
		if root, err := tlog.TreeHash(tree.N, hashes); err != nil || root != tree.Hash {
			return fmt.Errorf("the root is %v instead of %v: %v", root, tree.Hash, err)
		}
	}
	reader := tlog.TileHashReader(tree, tiles{folder})
	for index := int64(0); index < tree.N; index += 1 + tree.N/97 {
		proof, err := tlog.ProveRecord(tree.N, index, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaves[index]); err != nil {
			return err
		}
		older := index + 1
		root, err := tlog.TreeHash(older, hashes)
		if err != nil {
			return err
		}
		consistency, err := tlog.ProveTree(tree.N, older, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(consistency, tree.N, tree.Hash, older, root); err != nil {
			return err
		}
	}
	fmt.Println(origin, tree.N, tree.Hash)
	return nil
}

func proof(args []string) error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	parts := strings.SplitN(string(text), "\n\n", 2)
	if len(parts) != 2 {
		return fmt.Errorf("no empty line")
	}
	lines := strings.Split(parts[0], "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("not a proof: %q", lines)
	}
	record, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var hashes tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		hashes = append(hashes, hash)
	}
	_, tree, err := readCheckpoint([]byte(parts[1]), args[0])
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(hashes, tree.N, tree.Hash, index, tlog.RecordHash(record)); err != nil {
		return err
	}
	fmt.Printf("%d %s\n", index, record)
	return nil
}

func open(args []string) error {
	msg, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	text, err := openNote(msg, args[0])
	fmt.Print(text)
	return err
}

func sign(args []string) error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(args[0])
	if err != nil {
		return err
	}
	signed, err := note.Sign(&note.Note{Text: string(text)}, signer)
	os.Stdout.Write(signed)
	return err
}

func key(args []string) error {
	secret, public, err := note.GenerateKey(rand.Reader, args[0])
	fmt.Printf("%s\n%s\n", secret, public)
	return err
}
