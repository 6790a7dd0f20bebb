//go:build lab

package scenario_test

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// A worker has its own identity, and its hop limit decides whether its pods
// have it too.
func TestMetadataTellsEachWorkerApartAndKeepsTheHopLimit(t *testing.T) {
	pods := []string{"meta-1", "meta-2"}
	if err := bed.Apply(t.Context(), manifest(t, "metadata.yaml")); err != nil {
		t.Fatal(err)
	}
	for i, name := range pods {
		setHopLimit(t, "i-worker"+string(rune('1'+i)), 2)
		pod := ready(t, "default", name)
		instance := "i-worker" + string(rune('1'+i))
		if code, text := metadata(t, pod.Address); code != http.StatusOK || text != instance {
			t.Errorf("%s: %d %s, want %s", name, code, text, instance)
		}
		setHopLimit(t, instance, 1)
		if code, text := metadata(t, pod.Address); code != http.StatusGatewayTimeout {
			t.Errorf("%s with hop limit 1: %d %s, want no answer", name, code, text)
		}
		if got := fromWorker(t, pod.Worker); got != instance {
			t.Errorf("%s with hop limit 1: %q, want %s", pod.Worker, got, instance)
		}
		setHopLimit(t, instance, hopLimit(instance))
	}
}

// metadata asks, in a pod, for the instance's id.
func metadata(t *testing.T, pod netip.Addr) (int, string) {
	t.Helper()
	return act(t, pod, "/metadata", url.Values{"path": {"instance-id"}})
}

// fromWorker asks for it in the worker itself, by the image's program.
func fromWorker(t *testing.T, worker string) string {
	t.Helper()
	var out strings.Builder
	if err := bed.Run(t.Context(), worker, &out, "/lab/bin/podbox", "metadata", "instance-id"); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return strings.TrimSpace(out.String())
}

// hopLimit is that of a worker in all scenarios: of one worker, so that pods
// reach IMDS there, and not of the other. LAB_HOP_LIMIT is that of both.
func hopLimit(instance string) int32 {
	if n, err := strconv.ParseInt(os.Getenv("LAB_HOP_LIMIT"), 10, 32); err == nil {
		return int32(n)
	}
	if instance == "i-worker1" {
		return 2
	}
	return 1
}

func setHopLimit(t *testing.T, instance string, hops int32) {
	t.Helper()
	if err := limitHops(context.WithoutCancel(t.Context()), instance, hops); err != nil {
		t.Fatal(err)
	}
}

func limitHops(ctx context.Context, instance string, hops int32) error {
	_, err := cloud().ModifyInstanceMetadataOptions(ctx, &ec2.ModifyInstanceMetadataOptionsInput{
		InstanceId: &instance, HttpPutResponseHopLimit: aws.Int32(hops),
	})
	return err
}
