package main

import (
	"fmt"
	"time"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

func hubs(api *tested) {
	mark := fmt.Sprintf("go-%d", time.Now().UnixNano())
	project, _ := api.client.GetDefaultProjectID()
	organization, _ := api.client.GetDefaultOrganizationID()
	var made []string
	for name, plan := range map[string]iot.HubProductPlan{
		"a": iot.HubProductPlanPlanShared, "b": iot.HubProductPlanPlanDedicated, "c": iot.HubProductPlanPlanHa,
	} {
		hub := must(api.CreateHub(&iot.CreateHubRequest{Name: mark + "-" + name, ProductPlan: plan}))
		defer api.DeleteHub(&iot.DeleteHubRequest{HubID: hub.ID, DeleteDevices: scw.BoolPtr(true)})
		made = append(made, hub.ID)
		equal("the status of a new hub", hub.Status, iot.HubStatusEnabling)
		is("a new hub is enabled", hub.Enabled)
		equal("name", hub.Name, mark+"-"+name)
		equal("plan", hub.ProductPlan, plan)
		equal("owners", hub.ProjectID+hub.OrganizationID, project+organization)
		equal("region", hub.Region, api.region)
		equal("prefix", hub.EventsTopicPrefix, "$SCW/events")
		is("no Graphite target", hub.TwinsGraphiteConfig == nil)
		is("made now", time.Since(*hub.CreatedAt).Abs() < time.Minute)
		ready := must(wait(api, hub.ID))
		equal("the status of a hub that was waited for", ready.Status, iot.HubStatusReady)
		equal("becoming ready is no update", *ready.UpdatedAt, *hub.UpdatedAt)
	}
	hubLists(api, mark, made, project, organization)
	hubChanges(api, made[0])
	for _, id := range made {
		ok(api.DeleteHub(&iot.DeleteHubRequest{HubID: id}))
		gone(failure(api.GetHub(&iot.GetHubRequest{HubID: id})), "hub", id)
		gone(failure(wait(api, id)), "hub", id)
		gone(failure(api.DisableHub(&iot.DisableHubRequest{HubID: id})), "hub", id)
		gone(api.DeleteHub(&iot.DeleteHubRequest{HubID: id}), "hub", id)
	}
	equal("hubs that are left", int(must(api.ListHubs(&iot.ListHubsRequest{Name: &mark})).TotalCount), 0)
}

func hubLists(api *tested, mark string, made []string, project, organization string) {
	orders := []iot.ListHubsRequestOrderBy{
		iot.ListHubsRequestOrderByNameAsc, iot.ListHubsRequestOrderByNameDesc,
		iot.ListHubsRequestOrderByStatusAsc, iot.ListHubsRequestOrderByStatusDesc,
		iot.ListHubsRequestOrderByProductPlanAsc, iot.ListHubsRequestOrderByProductPlanDesc,
		iot.ListHubsRequestOrderByCreatedAtAsc, iot.ListHubsRequestOrderByCreatedAtDesc,
		iot.ListHubsRequestOrderByUpdatedAtAsc, iot.ListHubsRequestOrderByUpdatedAtDesc,
	}
	inEveryOrder(made, orders, func(order iot.ListHubsRequestOrderBy, pageSize *uint32) (ids []string, total int) {
		list := must(api.ListHubs(&iot.ListHubsRequest{Name: &mark, OrderBy: order, PageSize: pageSize}, scw.WithAllPages()))
		for _, hub := range list.Hubs {
			ids = append(ids, hub.ID)
		}
		return ids, int(list.TotalCount)
	})
	byName := must(api.ListHubs(&iot.ListHubsRequest{Name: &mark, OrderBy: iot.ListHubsRequestOrderByNameDesc}))
	equal("the last by name", byName.Hubs[0].Name, mark+"-c")
	mine := &iot.ListHubsRequest{Name: &mark, ProjectID: &project, OrganizationID: &organization}
	equal("hubs of the project", int(must(api.ListHubs(mine)).TotalCount), 3)
	elsewhere := &iot.ListHubsRequest{Name: &mark, ProjectID: scw.StringPtr(unknownID)}
	equal("hubs of another project", int(must(api.ListHubs(elsewhere)).TotalCount), 0)
	page := int32(9)
	equal("the page behind the last", len(must(api.ListHubs(&iot.ListHubsRequest{Name: &mark, Page: &page})).Hubs), 0)
}

func hubChanges(api *tested, id string) {
	before := must(api.GetHub(&iot.GetHubRequest{HubID: id}))
	pushURI := "https://user:token@graphite.example/metrics"
	changed := must(api.UpdateHub(&iot.UpdateHubRequest{
		HubID:               id,
		Name:                scw.StringPtr(before.Name + "-renamed"),
		DisableEvents:       scw.BoolPtr(true),
		EventsTopicPrefix:   scw.StringPtr("my/events"),
		TwinsGraphiteConfig: &iot.HubTwinsGraphiteConfig{PushURI: pushURI},
	}))
	equal("the new name", changed.Name, before.Name+"-renamed")
	equal("the plan, which was not given", changed.ProductPlan, before.ProductPlan)
	is("events are off", changed.DisableEvents)
	equal("the new prefix", changed.EventsTopicPrefix, "my/events")
	equal("the target", changed.TwinsGraphiteConfig.PushURI, pushURI)
	is("it was updated", changed.UpdatedAt.After(*before.UpdatedAt))
	equal("what is read of it", must(api.GetHub(&iot.GetHubRequest{HubID: id})), changed)

	disabling := must(api.DisableHub(&iot.DisableHubRequest{HubID: id}))
	equal("right after it was disabled", disabling.Status, iot.HubStatusDisabling)
	is("not enabled any more", !disabling.Enabled)
	equal("in the end", must(wait(api, id)).Status, iot.HubStatusDisabled)
	replanned := must(api.UpdateHub(&iot.UpdateHubRequest{HubID: id, ProductPlan: iot.HubProductPlanPlanHa}))
	equal("the new plan of a disabled hub", replanned.ProductPlan, iot.HubProductPlanPlanHa)
	equal("right after it was enabled", must(api.EnableHub(&iot.EnableHubRequest{HubID: id})).Status, iot.HubStatusEnabling)
	equal("in the end", must(wait(api, id)).Status, iot.HubStatusReady)

	metrics := must(api.GetHubMetrics(&iot.GetHubMetricsRequest{HubID: id}))
	equal("the metrics of a hub", seriesNames(metrics.Metrics), []string{"messages_count", "active_devices"})
	is("the generated authority is one", parsed(must(api.GetHubCA(&iot.GetHubCARequest{HubID: id})).CaCertPem).IsCA)
}

// authority replaces the generated one of a hub by a customer's.
func authority(api *tested, hub *iot.Hub) {
	device := must(api.CreateDevice(&iot.CreateDeviceRequest{HubID: hub.ID, Name: "of-the-generated-authority"})).Device
	own := newCustomer()
	noProof := refused[*scw.InvalidArgumentsError](failure(api.SetHubCA(
		&iot.SetHubCARequest{HubID: hub.ID, CaCertPem: own.pem, ChallengeCertPem: own.signs(unknownID)})))
	equal("the argument that is wrong", noProof.Details[0].ArgumentName, "challenge_cert_pem")
	is("nothing was set", !must(api.GetHub(&iot.GetHubRequest{HubID: hub.ID})).HasCustomCa)

	changed := must(api.SetHubCA(&iot.SetHubCARequest{HubID: hub.ID, CaCertPem: own.pem, ChallengeCertPem: own.signs(hub.ID)}))
	is("an authority of one's own", changed.HasCustomCa)
	read := must(api.GetHubCA(&iot.GetHubCARequest{HubID: hub.ID}))
	is("the authority is the one that was set", parsed(read.CaCertPem).Equal(own.certificate))
	stripped := must(api.GetDeviceCertificate(&iot.GetDeviceCertificateRequest{DeviceID: device.ID}))
	equal("the generated certificate of a device", stripped.CertificatePem, "")
	refused[*scw.PreconditionFailedError](failure(api.RenewDeviceCertificate(&iot.RenewDeviceCertificateRequest{DeviceID: device.ID})))
	// The command line and Terraform read the two members without a look whether there is a certificate.
	without := must(api.CreateDevice(&iot.CreateDeviceRequest{HubID: hub.ID, Name: "of-ones-own-authority"}))
	equal("what such a hub issues", without.Certificate, &iot.Certificate{})
	provisioning := must(api.UpdateHub(&iot.UpdateHubRequest{HubID: hub.ID, EnableDeviceAutoProvisioning: scw.BoolPtr(true)}))
	is("devices are made by their certificates", provisioning.EnableDeviceAutoProvisioning)
}

func seriesNames(metrics []*scw.TimeSeries) (names []string) {
	for _, series := range metrics {
		names = append(names, series.Name)
		is("a series has points and metadata", len(series.Points) > 0 && series.Metadata != nil)
	}
	return names
}
