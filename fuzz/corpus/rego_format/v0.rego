package a
p[x] { x = 1 } { x = 2 }
q = y { y = 1 } else = 3 { true }
default r = false
