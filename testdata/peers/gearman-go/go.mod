module gm/testdata/peers/gearman-go

go 1.26.0

require github.com/mikespook/gearman-go v0.0.0-20220520031403-2a518e866145
