package main

import (
	"net/http"
	"os"
	"time"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

// whatTheCommandLineCalls makes the calls of `scw iot`, with the options it gives them. The program itself is not run.
func whatTheCommandLineCalls(api *tested) {
	// `hub create --wait`: the plan is set by the command line, the region of the wait is the one of the answer.
	created := must(api.CreateHub(&iot.CreateHubRequest{Name: "cli-hub-for-a-while", ProductPlan: iot.HubProductPlanPlanShared}))
	defer api.DeleteHub(&iot.DeleteHubRequest{HubID: created.ID, DeleteDevices: scw.BoolPtr(true)})
	fiveMinutes := 5 * time.Minute
	interval := 200 * time.Millisecond
	hub := must(api.WaitForHub(&iot.WaitForHubRequest{
		HubID: created.ID, Region: created.Region, Timeout: &fiveMinutes, RetryInterval: &interval,
	}))
	equal("status", hub.Status, iot.HubStatusReady)
	equal("events", hub.EventsTopicPrefix, "$SCW/events")

	device := must(api.CreateDevice(&iot.CreateDeviceRequest{HubID: hub.ID, Name: "cli-device"}))
	is("what is shown of it", device.Certificate.Crt != "" && device.Certificate.Key != "")
	network := must(api.CreateNetwork(&iot.CreateNetworkRequest{HubID: hub.ID, Name: "cli-network", Type: iot.NetworkNetworkTypeRest}))
	is("what is shown of it", network.Secret != "")
	route := must(api.CreateRoute(&iot.CreateRouteRequest{HubID: hub.ID, Name: "cli-route", Topic: "#",
		RestConfig: &iot.CreateRouteRequestRestConfig{Verb: iot.RouteRestConfigHTTPVerbPost, URI: "http://example.com"}}))
	is("no headers", len(route.RestConfig.Headers) == 0)
	lists(api, hub, device.Device, network.Network, route)

	changed := must(api.UpdateRoute(&iot.UpdateRouteRequest{RouteID: route.ID,
		RestConfig: &iot.UpdateRouteRequestRestConfig{Verb: iot.RouteRestConfigHTTPVerbPut}}))
	equal("what was not given", changed.RestConfig.URI, "http://example.com")
	is("metrics of the last day", len(metricsSince(api, device.Device.ID, time.Now().Add(-23*time.Hour)).Metrics) == 2)

	// `hub delete` without and with `delete-devices=true`.
	refused[*scw.PreconditionFailedError](api.DeleteHub(&iot.DeleteHubRequest{HubID: hub.ID}))
	ok(api.DeleteHub(&iot.DeleteHubRequest{HubID: hub.ID, DeleteDevices: scw.BoolPtr(true)}))
	gone(failure(api.GetDevice(&iot.GetDeviceRequest{DeviceID: device.Device.ID})), "device", device.Device.ID)
	gone(failure(api.GetNetwork(&iot.GetNetworkRequest{NetworkID: network.Network.ID})), "network", network.Network.ID)
	gone(failure(api.GetRoute(&iot.GetRouteRequest{RouteID: route.ID})), "route", route.ID)

	// Once a day it asks when the key expires, of another API, and goes on whatever the answer is.
	err := api.client.Do(&scw.ScalewayRequest{
		Method: http.MethodGet, Path: "/iam/v1alpha1/api-keys/" + os.Getenv(scw.ScwAccessKeyEnv), Headers: http.Header{},
	}, nil)
	equal("what the other API answers", refused[*scw.ResponseError](err).StatusCode, http.StatusNotFound)
}

// lists asks for all pages, and with `region=all` in all regions that the SDK knows.
func lists(api *tested, hub *iot.Hub, device *iot.Device, network *iot.Network, route *iot.Route) {
	for _, options := range [][]scw.RequestOption{
		{scw.WithAllPages()},
		{scw.WithAllPages(), scw.WithRegions(api.Regions()...)},
	} {
		hubs := must(api.ListHubs(&iot.ListHubsRequest{Name: &hub.Name}, options...)).Hubs
		equal("hubs", []string{hubs[0].ID}, []string{hub.ID})
		devices := must(api.ListDevices(&iot.ListDevicesRequest{HubID: &hub.ID}, options...)).Devices
		equal("devices", []string{devices[0].ID}, []string{device.ID})
		networks := must(api.ListNetworks(&iot.ListNetworksRequest{HubID: &hub.ID}, options...)).Networks
		equal("networks", []string{networks[0].ID}, []string{network.ID})
		routes := must(api.ListRoutes(&iot.ListRoutesRequest{HubID: &hub.ID}, options...)).Routes
		equal("routes", []string{routes[0].ID}, []string{route.ID})
	}
}
