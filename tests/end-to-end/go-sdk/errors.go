package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

// everyError expects each refusal as the type the SDK has for it, with its fields filled.
func everyError(api *tested) {
	authentication(api)
	arguments(api)
	foreignProject := &iot.CreateHubRequest{ProjectID: unknownID, ProductPlan: iot.HubProductPlanPlanShared}
	denied := refused[*scw.PermissionsDeniedError](failure(api.CreateHub(foreignProject)))
	equal("what is denied", denied.Details[0].Action+" "+denied.Details[0].Resource, "write hub")
	unknownThings(api)
	withHub(api, iot.HubProductPlanPlanShared, func(hub *iot.Hub) { conditions(api, hub) })
	transient(api)
	quotas(api)

	elsewhere := refused[*scw.ResponseError](failure(api.ListHubs(&iot.ListHubsRequest{Region: scw.RegionNlAms})))
	equal("a region without the service", fmt.Sprint(elsewhere.StatusCode, " ", elsewhere.Message), "501 unknown service")
}

func authentication(api *tested) {
	attempt := func(options ...scw.ClientOption) *scw.DeniedAuthenticationError {
		other := connect(append([]scw.ClientOption{scw.WithEnv()}, options...)...)
		return refused[*scw.DeniedAuthenticationError](failure(other.ListHubs(&iot.ListHubsRequest{})))
	}
	unknown := attempt(scw.WithAuth(os.Getenv(scw.ScwAccessKeyEnv), "11111111-1111-4111-8111-111111111111"))
	equal("an unknown key", unknown.Method+" "+unknown.Reason, "api_key not_found")
	none := attempt(scw.WithoutAuth())
	equal("no key", none.Method+" "+none.Reason, "unknown_method not_found")
	session := &scw.ScalewayRequest{
		Method:  http.MethodGet,
		Path:    "/iot/v1/regions/" + api.region.String() + "/hubs",
		Headers: http.Header{"X-Session-Token": {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"}},
	}
	// Newer SDKs send this header for a client that was given a JWT.
	refusedSession := refused[*scw.DeniedAuthenticationError](connect(scw.WithEnv(), scw.WithoutAuth()).client.Do(session, nil))
	equal("a session of an issuer that is not there", refusedSession.Method+" "+refusedSession.Reason, "jwt not_found")
}

func arguments(api *tested) {
	tooLong := refused[*scw.InvalidArgumentsError](failure(api.CreateHub(&iot.CreateHubRequest{Name: strings.Repeat("n", 256)})))
	equal("how many arguments are wrong", len(tooLong.Details), 1)
	detail := tooLong.Details[0]
	equal("which and why", detail.ArgumentName+" "+detail.Reason, "name constraint")
	is("help with it", detail.HelpMessage != "")
	missing := refused[*scw.InvalidArgumentsError](failure(api.CreateDevice(&iot.CreateDeviceRequest{})))
	equal("which and why", missing.Details[0].ArgumentName+" "+missing.Details[0].Reason, "hub_id required")
	malformed := refused[*scw.InvalidArgumentsError](failure(api.GetHub(&iot.GetHubRequest{HubID: "no-uuid"})))
	equal("which and why", malformed.Details[0].ArgumentName+" "+malformed.Details[0].Reason, "hub_id format")
	tooMany := refused[*scw.InvalidArgumentsError](failure(api.ListHubs(&iot.ListHubsRequest{PageSize: scw.Uint32Ptr(101)})))
	equal("which and why", tooMany.Details[0].ArgumentName+" "+tooMany.Details[0].Reason, "page_size constraint")
}

func unknownThings(api *tested) {
	gone(failure(api.GetHub(&iot.GetHubRequest{HubID: unknownID})), "hub", unknownID)
	gone(failure(api.GetHubCA(&iot.GetHubCARequest{HubID: unknownID})), "hub", unknownID)
	gone(failure(api.GetDevice(&iot.GetDeviceRequest{DeviceID: unknownID})), "device", unknownID)
	gone(failure(api.GetNetwork(&iot.GetNetworkRequest{NetworkID: unknownID})), "network", unknownID)
	gone(failure(api.GetRoute(&iot.GetRouteRequest{RouteID: unknownID})), "route", unknownID)
	gone(failure(api.CreateDevice(&iot.CreateDeviceRequest{HubID: unknownID})), "hub", unknownID)
	gone(failure(api.ListTwinDocuments(&iot.ListTwinDocumentsRequest{TwinID: unknownID})), "device", unknownID)
}

func conditions(api *tested, hub *iot.Hub) {
	enabled := refused[*scw.PreconditionFailedError](failure(api.UpdateHub(
		&iot.UpdateHubRequest{HubID: hub.ID, ProductPlan: iot.HubProductPlanPlanDedicated})))
	is("a precondition and help with it", enabled.Precondition == "unknown_precondition" && enabled.HelpMessage != "")
	withoutOwn := refused[*scw.PreconditionFailedError](failure(api.UpdateHub(
		&iot.UpdateHubRequest{HubID: hub.ID, EnableDeviceAutoProvisioning: scw.BoolPtr(true)})))
	equal("the precondition", withoutOwn.Precondition, "attribute_must_be_set")
	device := must(api.CreateDevice(&iot.CreateDeviceRequest{HubID: hub.ID, Name: "taken"})).Device
	inUse := refused[*scw.PreconditionFailedError](api.DeleteHub(&iot.DeleteHubRequest{HubID: hub.ID}))
	equal("the precondition", inUse.Precondition, "resource_still_in_use")
	// This SDK knows no type of its own for what exists already.
	exists := refused[*scw.ResponseError](failure(api.CreateDevice(&iot.CreateDeviceRequest{HubID: hub.ID, Name: device.Name})))
	equal("what is in the way", fmt.Sprint(exists.StatusCode, exists.Type, exists.Resource), "409already_existsdevice")
	onShared := refused[*scw.InvalidArgumentsError](failure(api.UpdateDevice(
		&iot.UpdateDeviceRequest{DeviceID: device.ID, AllowMultipleConnections: scw.BoolPtr(true)})))
	equal("the argument that is wrong", onShared.Details[0].ArgumentName, "allow_multiple_connections")
}

// transient looks at a hub while it is being enabled; the look may come too late, then it tries another.
func transient(api *tested) {
	for tries := 1; ; tries++ {
		hub := must(api.CreateHub(&iot.CreateHubRequest{ProductPlan: iot.HubProductPlanPlanDedicated}))
		_, err := api.UpdateHub(&iot.UpdateHubRequest{HubID: hub.ID, Name: scw.StringPtr("too early")})
		ok(api.DeleteHub(&iot.DeleteHubRequest{HubID: hub.ID}))
		if err == nil && tries < 20 {
			continue
		}
		early := refused[*scw.TransientStateError](err)
		equal("what is being changed", early.Resource+early.ResourceID+early.CurrentState, "hub"+hub.ID+"enabling")
		return
	}
}

func quotas(api *tested) {
	var made []string
	defer func() {
		for _, id := range made {
			ok(api.DeleteHub(&iot.DeleteHubRequest{HubID: id}))
		}
	}()
	for started := time.Now(); ; {
		is("an end of it", len(made) <= 5 && time.Since(started) < time.Minute)
		hub, err := api.CreateHub(&iot.CreateHubRequest{ProductPlan: iot.HubProductPlanPlanShared})
		if err == nil {
			made = append(made, hub.ID)
			continue
		}
		exceeded := refused[*scw.QuotasExceededError](err)
		detail := exceeded.Details[0]
		equal("the quota", fmt.Sprint(detail.Resource, " ", detail.Current, " of ", detail.Quota), "hub_plan_shared 5 of 5")
		return
	}
}
