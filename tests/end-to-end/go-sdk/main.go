// Stories about the management API, told by Scaleway's official Go SDK. URL, keys, project and region come from the environment,
// under the names that all of Scaleway's programs read; the story to run is the first argument. A broken expectation panics, so
// that the hubs of the story are deleted on the way out and the trace tells the line.
package main

import (
	"fmt"
	"os"
	"reflect"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

var stories = map[string]func(*tested){
	"life":      wholeLife,
	"errors":    everyError,
	"terraform": whatTerraformCalls,
	"cli":       whatTheCommandLineCalls,
}

// tested is the hub service the stories are about, through the SDK.
type tested struct {
	*iot.API
	client *scw.Client
	calls  *recorder
	region scw.Region
}

func main() {
	if len(os.Args) != 2 || stories[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "give the story to run: life, errors, terraform or cli")
		os.Exit(2)
	}
	api := connect(scw.WithEnv())
	stories[os.Args[1]](api)
	fmt.Printf("done: %d different calls\n", len(api.calls.seen))
}

func connect(options ...scw.ClientOption) *tested {
	calls := &recorder{seen: map[string]int{}}
	client := must(scw.NewClient(append(options, scw.WithHTTPClient(calls))...))
	region, known := client.GetDefaultRegion()
	is("a default region", known)
	return &tested{API: iot.NewAPI(client), client: client, calls: calls, region: region}
}

// wholeLife ends when every method of the SDK's IoT API has made its call.
func wholeLife(api *tested) {
	hubs(api)
	withHub(api, iot.HubProductPlanPlanDedicated, func(hub *iot.Hub) {
		withHub(api, iot.HubProductPlanPlanDedicated, func(other *iot.Hub) { devices(api, hub, other) })
		networks(api, hub)
		routes(api, hub)
		authority(api, hub)
	})
	// Regions calls nothing, WaitForHub what GetHub calls.
	equal("calls that were made for the methods there are", len(api.calls.seen), reflect.TypeOf(api.API).NumMethod()-2)
}
