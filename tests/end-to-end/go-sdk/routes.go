package main

import (
	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

func routes(api *tested, hub *iot.Hub) {
	s3 := must(api.CreateRoute(&iot.CreateRouteRequest{HubID: hub.ID, Name: "c", Topic: "t/+/#", S3Config: &iot.CreateRouteRequestS3Config{
		BucketRegion: "fr-par", BucketName: "bucket", ObjectPrefix: "foo", Strategy: iot.RouteS3ConfigS3StrategyPerMessage,
	}}))
	equal("type", s3.Type, iot.RouteRouteTypeS3)
	equal("its settings", s3.S3Config, &iot.RouteS3Config{
		BucketRegion: "fr-par", BucketName: "bucket", ObjectPrefix: "foo", Strategy: iot.RouteS3ConfigS3StrategyPerMessage,
	})
	is("no other settings", s3.DbConfig == nil && s3.RestConfig == nil)

	headers := map[string]string{"X-My-Header": "a value"}
	rest := must(api.CreateRoute(&iot.CreateRouteRequest{HubID: hub.ID, Name: "a", Topic: "#", RestConfig: &iot.CreateRouteRequestRestConfig{
		Verb: iot.RouteRestConfigHTTPVerbPost, URI: "https://example.com/in", Headers: headers,
	}}))
	equal("its settings", rest.RestConfig, &iot.RouteRestConfig{
		Verb: iot.RouteRestConfigHTTPVerbPost, URI: "https://example.com/in", Headers: headers,
	})
	asked := iot.CreateRouteRequestDatabaseConfig{
		Host: "db.example", Port: 5432, Dbname: "d", Username: "u", Password: "hush", Query: "INSERT INTO m VALUES ($TOPIC, $PAYLOAD)",
	}
	db := must(api.CreateRoute(&iot.CreateRouteRequest{HubID: hub.ID, Name: "b", Topic: "#", DbConfig: &asked}))
	stored := iot.RouteDatabaseConfig{
		Engine: iot.RouteDatabaseConfigEnginePostgresql,
		Host:   asked.Host, Port: asked.Port, Dbname: asked.Dbname, Username: asked.Username, Password: "hush", Query: asked.Query,
	}
	equal("its settings", db.DbConfig, &stored)
	stored.Password = ""
	equal("the settings that are read", must(api.GetRoute(&iot.GetRouteRequest{RouteID: db.ID})).DbConfig, &stored)

	made := []string{s3.ID, rest.ID, db.ID}
	routeLists(api, hub, append([]string{}, made...))
	routeChanges(api, s3, rest, db, stored)
	for _, id := range made {
		ok(api.DeleteRoute(&iot.DeleteRouteRequest{RouteID: id}))
		gone(failure(api.GetRoute(&iot.GetRouteRequest{RouteID: id})), "route", id)
		gone(failure(api.UpdateRoute(&iot.UpdateRouteRequest{RouteID: id, Name: scw.StringPtr("x")})), "route", id)
		gone(api.DeleteRoute(&iot.DeleteRouteRequest{RouteID: id}), "route", id)
	}
}

func routeLists(api *tested, hub *iot.Hub, made []string) {
	orders := []iot.ListRoutesRequestOrderBy{
		iot.ListRoutesRequestOrderByNameAsc, iot.ListRoutesRequestOrderByNameDesc,
		iot.ListRoutesRequestOrderByHubIDAsc, iot.ListRoutesRequestOrderByHubIDDesc,
		iot.ListRoutesRequestOrderByTypeAsc, iot.ListRoutesRequestOrderByTypeDesc,
		iot.ListRoutesRequestOrderByCreatedAtAsc, iot.ListRoutesRequestOrderByCreatedAtDesc,
	}
	inEveryOrder(made, orders, func(order iot.ListRoutesRequestOrderBy, pageSize *uint32) (ids []string, total int) {
		list := must(api.ListRoutes(&iot.ListRoutesRequest{HubID: &hub.ID, OrderBy: order, PageSize: pageSize}, scw.WithAllPages()))
		for _, route := range list.Routes {
			ids = append(ids, route.ID)
		}
		return ids, int(list.TotalCount)
	})
	named := must(api.ListRoutes(&iot.ListRoutesRequest{HubID: &hub.ID, Name: scw.StringPtr("a")}))
	equal("routes by name", int(named.TotalCount), 1)
	equal("the type of the one", named.Routes[0].Type, iot.RouteRouteTypeRest)
}

func routeChanges(api *tested, s3, rest, db *iot.Route, stored iot.RouteDatabaseConfig) {
	moved := must(api.UpdateRoute(&iot.UpdateRouteRequest{
		RouteID: s3.ID, Topic: scw.StringPtr("#"), S3Config: &iot.UpdateRouteRequestS3Config{ObjectPrefix: scw.StringPtr("")},
	}))
	equal("the new topic", moved.Topic, "#")
	equal("what was not given", moved.S3Config, &iot.RouteS3Config{
		BucketRegion: "fr-par", BucketName: "bucket", Strategy: iot.RouteS3ConfigS3StrategyPerMessage,
	})
	bare := must(api.UpdateRoute(&iot.UpdateRouteRequest{
		RouteID: rest.ID, Name: scw.StringPtr("renamed"), RestConfig: &iot.UpdateRouteRequestRestConfig{Headers: &map[string]string{}},
	}))
	equal("the new name", bare.Name, "renamed")
	equal("what was not given", bare.RestConfig, &iot.RouteRestConfig{
		Verb: rest.RestConfig.Verb, URI: rest.RestConfig.URI, Headers: map[string]string{},
	})
	port := uint32(5433)
	elsewhere := must(api.UpdateRoute(&iot.UpdateRouteRequest{
		RouteID: db.ID, DbConfig: &iot.UpdateRouteRequestDatabaseConfig{Port: &port, Engine: iot.RouteDatabaseConfigEngineMysql},
	}))
	stored.Port, stored.Engine = port, iot.RouteDatabaseConfigEngineMysql
	equal("what was not given", elsewhere.DbConfig, &stored)
	wrong := refused[*scw.InvalidArgumentsError](failure(api.UpdateRoute(
		&iot.UpdateRouteRequest{RouteID: db.ID, S3Config: &iot.UpdateRouteRequestS3Config{BucketName: scw.StringPtr("x")}})))
	equal("the argument that is wrong", wrong.Details[0].ArgumentName, "s3_config")
}
