module example.org/publish

go 1.19
