module caisson.dev/agent

go 1.24
