// Policies and inputs at random, small enough to be read, wide enough to meet each other in odd ways.
package main

import (
	"fmt"
	"math/rand"
	"strings"
)

type generator struct {
	*rand.Rand
	vars    []string // in scope, with a value
	fresh   int
	depth   int
	rules   []string // complete rules, sets and objects that may be referred to
	sets    []string
	objects []string
	funcs   []string
}

func (g *generator) pick(choices ...string) string { return choices[g.Intn(len(choices))] }
func (g *generator) chance(percent int) bool       { return g.Intn(100) < percent }

func (g *generator) scalar() string {
	return g.pick("0", "1", "2", "3", "-1", "1.5", "10", `"a"`, `"b"`, `"ab"`, `""`, `"1"`, "true", "false", "null")
}

func (g *generator) document(depth int) any {
	switch n := g.Intn(10); {
	case depth == 0 || n < 5:
		return []any{0, 1, 2, 3, -1, 1.5, 10, "a", "b", "ab", "", "1", true, false, nil}[g.Intn(15)]
	case n < 7:
		list := []any{}
		for i := g.Intn(4); i > 0; i-- {
			list = append(list, g.document(depth-1))
		}
		return list
	default:
		object := map[string]any{}
		for i := g.Intn(4); i > 0; i-- {
			object[[]string{"a", "b", "c", "d"}[g.Intn(4)]] = g.document(depth - 1)
		}
		return object
	}
}

// What can be looked into.
func (g *generator) base() string {
	choices := []string{"input", "data.d", "input.a", "input.b", "data.d.a", "data.d.l", "input.l"}
	choices = append(choices, g.rules...)
	choices = append(choices, g.sets...)
	choices = append(choices, g.objects...)
	choices = append(choices, g.vars...)
	return g.pick(choices...)
}

func (g *generator) ref() string {
	out := g.base()
	for i := g.Intn(3); i > 0; i-- {
		switch g.Intn(4) {
		case 0:
			out += "." + g.pick("a", "b", "c", "l")
		case 1:
			out += "[" + g.pick("0", "1", `"a"`, `"b"`) + "]"
		case 2:
			if len(g.vars) > 0 {
				out += "[" + g.pick(g.vars...) + "]"
			}
		default:
			out += "[_]"
		}
	}
	return out
}

func (g *generator) term() string {
	g.depth++
	defer func() { g.depth-- }()
	if g.depth > 4 {
		return g.scalar()
	}
	switch n := g.Intn(30); {
	case n < 7:
		return g.scalar()
	case n < 13:
		return g.ref()
	case n < 16:
		if len(g.vars) > 0 {
			return g.pick(g.vars...)
		}
		return g.scalar()
	case n < 17:
		return "[" + g.list() + "]"
	case n < 18:
		return "{" + g.term() + ", " + g.term() + "}"
	case n < 19:
		return `{"a": ` + g.term() + `, ` + g.pick(`"b"`, `"c"`) + `: ` + g.term() + `}`
	case n < 22:
		return g.comprehension()
	case n < 23:
		if len(g.funcs) > 0 {
			return g.pick(g.funcs...) + "(" + g.term() + ")"
		}
		return g.scalar()
	default:
		return g.call()
	}
}

func (g *generator) list() string {
	items := []string{}
	for i := g.Intn(4); i > 0; i-- {
		items = append(items, g.term())
	}
	return strings.Join(items, ", ")
}

func (g *generator) call() string {
	one := []string{"count", "sum", "max", "min", "sort", "to_number", "upper", "lower", "type_name", "is_string", "is_number",
		"is_array", "object.keys", "array.reverse", "json.marshal", "abs", "round", "ceil", "floor", "product", "is_set",
		"is_object", "is_null", "is_boolean", "trim_space", "strings.reverse", "base64.encode", "hex.encode", "union",
		"intersection", "urlquery.encode", "numbers.range(1, 3)", "yaml.marshal", "json.is_valid"}
	two := []string{"concat", "contains", "startswith", "endswith", "split", "array.concat", "object.remove", "object.filter",
		"object.union", "indexof", "format_int", "trim", "trim_left", "trim_prefix", "bits.and", "bits.or", "sprintf",
		"strings.any_prefix_match", "json.filter", "json.remove", "regex.match", "glob.quote_meta", "object.subset",
		"indexof_n", "strings.count", "numbers.range", "array.slice", "semver.compare", "net.cidr_contains"}
	switch n := g.Intn(10); {
	case n < 3:
		return g.term() + " " + g.pick("+", "-", "*", "/", "%", "&", "|") + " " + g.term()
	case n < 4:
		return g.term() + " " + g.pick("==", "!=", "<", "<=", ">", ">=") + " " + g.term()
	case n < 5:
		return "(" + g.term() + " in " + g.term() + ")"
	case n < 6:
		return "object.get(" + g.term() + ", " + g.term() + ", " + g.term() + ")"
	case n < 8:
		f := g.pick(one...)
		if strings.Contains(f, "(") {
			return f
		}
		return f + "(" + g.term() + ")"
	case n < 9:
		f := g.pick(two...)
		switch f {
		case "sprintf":
			return "sprintf(" + g.pick(`"%v"`, `"%d|%s"`, `"%v-%v"`, `"%05d"`, `"%q"`, `"%x"`, `"%.2f"`) + ", [" + g.list() + "])"
		case "array.slice":
			return f + "(" + g.term() + ", " + g.term() + ", " + g.term() + ")"
		case "glob.quote_meta":
			return f + "(" + g.term() + ")"
		}
		return f + "(" + g.term() + ", " + g.term() + ")"
	default:
		return g.pick("replace", "substring") + "(" + g.term() + ", " + g.term() + ", " + g.term() + ")"
	}
}

func (g *generator) variable() string {
	g.fresh++
	return fmt.Sprintf("v%d", g.fresh)
}

// A body of its own scope; what it binds is forgotten after `use` has seen it.
func (g *generator) scope(literals int, use func()) string {
	before := len(g.vars)
	body := []string{}
	for i := 0; i < literals; i++ {
		body = append(body, g.literal())
	}
	if use != nil {
		use()
	}
	g.vars = g.vars[:before]
	return strings.Join(body, "; ")
}

func (g *generator) comprehension() string {
	var head string
	kind := g.Intn(3)
	body := g.scope(1+g.Intn(2), func() {
		head = g.term()
		if kind == 2 {
			head = g.pick(`"k"`, g.term()) + ": " + head
		}
	})
	if kind == 0 {
		return "[" + head + " | " + body + "]"
	}
	return "{" + head + " | " + body + "}"
}

func (g *generator) literal() string {
	g.depth++
	defer func() { g.depth-- }()
	switch n := g.Intn(24); {
	case n < 4:
		v := g.variable()
		out := v + " := " + g.term()
		g.vars = append(g.vars, v)
		return out
	case n < 8:
		domain := g.term()
		v := g.variable()
		if g.chance(40) {
			k := g.variable()
			g.vars = append(g.vars, k, v)
			return "some " + k + ", " + v + " in " + domain
		}
		g.vars = append(g.vars, v)
		return "some " + v + " in " + domain
	case n < 12:
		return g.term() + " " + g.pick("==", "!=", "<", ">", "<=", ">=", "=") + " " + g.term()
	case n < 14:
		return "not " + g.pick(g.ref(), g.term()+" == "+g.term(), g.term())
	case n < 15:
		domain := g.term()
		v := g.variable()
		before := len(g.vars)
		g.vars = append(g.vars, v)
		body := g.scope(1, nil)
		g.vars = g.vars[:before]
		return "every " + v + " in " + domain + " { " + body + " }"
	case n < 16 && len(g.rules) > 0:
		return g.pick(g.rules...) + " == " + g.scalar() + " with " + g.pick("input.a", "input", "data.d.a") + " as " + g.term()
	case n < 17:
		return g.term() + " in " + g.term()
	case n < 18:
		// A pattern: its variables get their values from the other side.
		a, b := g.variable(), g.variable()
		out := "[" + a + ", " + b + "] = " + g.term()
		g.vars = append(g.vars, a, b)
		return out
	default:
		return g.ref()
	}
}

func (g *generator) body() string {
	return " if { " + g.scope(1+g.Intn(3), nil) + " }"
}

func (g *generator) rule(name string) string {
	g.vars = nil
	var head, value string
	if g.chance(20) {
		return name + " := " + g.pick(g.scalar(), "["+g.list()+"]")
	}
	body := g.scope(1+g.Intn(3), func() { value = g.term() })
	switch n := g.Intn(10); {
	case n < 4:
		head = name
		if g.chance(60) {
			head += " := " + value
		}
		out := head + " if { " + body + " }"
		for g.chance(25) {
			out += " else := " + g.scalar()
			if g.chance(60) {
				out += g.body()
			} else {
				break
			}
		}
		if g.chance(20) {
			out = "default " + name + " := " + g.scalar() + "\n" + out
		}
		g.rules = append(g.rules, name)
		return out
	case n < 7:
		out := name + " contains " + value + " if { " + body + " }"
		if g.chance(40) {
			out += "\n" + name + " contains " + g.scalar() + g.body()
		}
		g.sets = append(g.sets, name)
		return out
	case n < 9:
		key := g.pick(`"a"`, `"b"`)
		out := name + "[" + key + "] := " + value + " if { " + body + " }"
		if g.chance(50) {
			out += "\n" + name + `["c"] := ` + g.scalar() + g.body()
		}
		g.objects = append(g.objects, name)
		return out
	default:
		g.vars = []string{"arg"}
		value = ""
		body = g.scope(1+g.Intn(2), func() { value = g.term() })
		g.funcs = append(g.funcs, name)
		g.vars = nil
		return name + "(arg) := " + value + " if { " + body + " }"
	}
}

// A module whose last rule is `p`, which is asked for.
func (g *generator) module() string {
	out := "package test\n"
	for i := g.Intn(4); i > 0; i-- {
		out += "\n" + g.rule(fmt.Sprintf("r%d", i)) + "\n"
	}
	for {
		last := g.rule("p")
		if !strings.HasPrefix(last, "p(") {
			return out + "\n" + last + "\n"
		}
		g.funcs = nil
	}
}
