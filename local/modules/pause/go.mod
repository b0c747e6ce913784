module caisson.dev/local/pause

go 1.26.6
