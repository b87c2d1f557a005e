package main

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"sort"
	"time"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

const unknownID = "00000000-0000-4000-8000-00000000dead"

var (
	uuid         = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	documentName = regexp.MustCompile(`/documents/.+`)
)

func must[T any](value T, err error) T {
	ok(err)
	return value
}

func ok(err error) {
	if err != nil {
		panic(err)
	}
}

func is(what string, condition bool) {
	if !condition {
		panic("expected: " + what)
	}
}

func equal(what string, got, wanted interface{}) {
	if !reflect.DeepEqual(got, wanted) {
		panic(fmt.Sprintf("%s: got %+v, wanted %+v", what, got, wanted))
	}
}

// refused gives the error as the type the SDK has for it.
func refused[E error](err error) E {
	var typed E
	if err == nil {
		panic(fmt.Sprintf("expected %T, but it was done", typed))
	}
	if !errors.As(err, &typed) {
		panic(fmt.Sprintf("expected %T, got %T: %v", typed, err, err))
	}
	return typed
}

// gone expects that a thing is not found, as Terraform and the command line notice it.
func gone(err error, resource, id string) {
	missing := refused[*scw.ResourceNotFoundError](err)
	equal("the missing resource", missing.Resource+" "+missing.ResourceID, resource+" "+id)
}

func failure[T any](_ T, err error) error { return err }

// wait polls as the SDK does, only more often.
func wait(api *tested, hubID string) (*iot.Hub, error) {
	return api.WaitForHub(&iot.WaitForHubRequest{
		HubID:         hubID,
		Region:        api.region,
		Timeout:       scw.TimeDurationPtr(30 * time.Second),
		RetryInterval: scw.TimeDurationPtr(200 * time.Millisecond),
	})
}

// withHub gives a ready hub for the time of one piece of work.
func withHub(api *tested, plan iot.HubProductPlan, work func(*iot.Hub)) {
	made := must(api.CreateHub(&iot.CreateHubRequest{ProductPlan: plan}))
	defer func() {
		err := api.DeleteHub(&iot.DeleteHubRequest{HubID: made.ID, DeleteDevices: scw.BoolPtr(true)})
		var missing *scw.ResourceNotFoundError
		if !errors.As(err, &missing) {
			ok(err)
		}
	}()
	hub := must(wait(api, made.ID))
	equal("the status of a hub that was waited for", hub.Status, iot.HubStatusReady)
	work(hub)
}

// inEveryOrder expects the same things in every order, in pages of two, none of them twice.
func inEveryOrder[O ~string](wanted []string, orders []O, list func(order O, pageSize *uint32) ([]string, int)) {
	sort.Strings(wanted)
	for _, order := range orders {
		found, total := list(order, scw.Uint32Ptr(2))
		equal("the total in the order "+string(order), total, len(wanted))
		sort.Strings(found)
		equal("what is listed in the order "+string(order), found, wanted)
	}
}

// recorder is the HTTP client of the SDK and remembers what was asked of it.
type recorder struct {
	seen map[string]int
}

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	path := documentName.ReplaceAllString(uuid.ReplaceAllString(request.URL.Path, "{id}"), "/documents/{name}")
	r.seen[request.Method+" "+path]++
	return http.DefaultClient.Do(request)
}
