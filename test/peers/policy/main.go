// Writes conformance cases that OPA itself has answered: generated policies and inputs, with its results.
//
//	generate SEED COUNT FOLDER
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
)

type testCase struct {
	Note      string           `json:"note"`
	Query     string           `json:"query"`
	Modules   []string         `json:"modules"`
	Data      map[string]any   `json:"data"`
	Input     any              `json:"input"`
	Strict    bool             `json:"strict_error,omitempty"`
	Want      []map[string]any `json:"want_result,omitempty"`
	Undefined bool             `json:"-"`
	Code      string           `json:"want_error_code,omitempty"`
}

// What OPA says, or false when the case says nothing: it does not compile, or takes too long.
func answer(c *testCase) (good bool) {
	// OPA itself does not survive every policy (its rule index panics on some set literals).
	defer func() {
		if recover() != nil {
			good = false
		}
	}()
	module, err := ast.ParseModule("test-0.rego", c.Modules[0])
	if err != nil {
		return false
	}
	compiler := ast.NewCompiler()
	if compiler.Compile(map[string]*ast.Module{"test-0.rego": module}); compiler.Failed() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	results, err := rego.New(rego.Query(c.Query), rego.Compiler(compiler), rego.Store(inmem.NewFromObject(c.Data)),
		rego.Input(c.Input), rego.StrictBuiltinErrors(c.Strict)).Eval(ctx)
	if err != nil {
		var e *topdown.Error
		if !errors.As(err, &e) || e.Code == topdown.CancelErr {
			return false
		}
		c.Code = e.Code
		return true
	}
	c.Want = []map[string]any{}
	for _, r := range results {
		c.Want = append(c.Want, r.Bindings)
	}
	return true
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: generate SEED COUNT FOLDER")
		os.Exit(2)
	}
	seed, _ := strconv.ParseInt(os.Args[1], 10, 64)
	count, _ := strconv.Atoi(os.Args[2])
	tried, file := 0, 0
	var batch []json.RawMessage
	flush := func() {
		text, err := json.Marshal(map[string]any{"cases": batch})
		if err == nil {
			err = os.WriteFile(fmt.Sprintf("%s/%04d.json", os.Args[3], file), text, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		batch = nil
		file++
	}
	for done := 0; done < count; tried++ {
		g := &generator{Rand: rand.New(rand.NewSource(seed + int64(tried)))}
		data := map[string]any{"a": g.document(2), "b": g.document(2), "l": []any{g.document(1), g.document(1), 1, "a"}}
		input := map[string]any{"a": g.document(2), "b": g.document(2), "l": []any{1, 2, g.document(1)}}
		c := &testCase{Note: fmt.Sprintf("generated/%d", seed+int64(tried)), Query: "data.test.p = x",
			Modules: []string{g.module()}, Data: map[string]any{"d": data}, Input: input, Strict: g.chance(20)}
		if !answer(c) {
			continue
		}
		// An undefined answer is an empty list, which omitempty would leave out.
		text, err := json.Marshal(c)
		if err != nil {
			continue
		}
		if c.Code == "" && len(c.Want) == 0 {
			text = append(text[:len(text)-1], []byte(`,"want_result":[]}`)...)
		}
		batch = append(batch, text)
		done++
		if len(batch) == 500 {
			flush()
		}
	}
	if len(batch) > 0 {
		flush()
	}
	fmt.Printf("%d cases of %d policies\n", count, tried)
}
