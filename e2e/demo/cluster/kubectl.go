package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tableForm asks the API server for the table that kubectl prints.
const tableForm = "application/json;as=Table;v=v1;g=meta.k8s.io"

// GetPods returns what "kubectl get pods" prints for a namespace: the columns
// and a row per pod.
func (c *Cluster) GetPods(ctx context.Context, namespace string) (columns []string, rows [][]string, err error) {
	text, err := c.client.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").
		SetHeader("Accept", tableForm).DoRaw(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("list the pods of %s: %w", namespace, err)
	}
	var table metav1.Table
	if err := json.Unmarshal(text, &table); err != nil {
		return nil, nil, fmt.Errorf("list the pods of %s: %w", namespace, err)
	}
	columns, rows = plain(table)
	return columns, rows, nil
}

// plain takes from a table the columns that kubectl shows without -o wide.
func plain(table metav1.Table) (columns []string, rows [][]string) {
	rows = make([][]string, len(table.Rows))
	for i, column := range table.ColumnDefinitions {
		if column.Priority > 0 {
			continue
		}
		columns = append(columns, strings.ToUpper(column.Name))
		for n, row := range table.Rows {
			rows[n] = append(rows[n], fmt.Sprint(row.Cells[i]))
		}
	}
	return columns, rows
}
