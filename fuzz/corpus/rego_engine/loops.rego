package a
p := count([1 | some x in numbers.range(1, 1000); some y in numbers.range(1, 1000)])
q := concat("", ["a", "b"])
r := json.unmarshal("[1]")[_]
