module github.com/multus-ipmgr/multus-ipmgr/e2e/tools

go 1.26.6
