namespace IotHub.Contract.Api;

public sealed class MemoryHubApiTests : HubApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InMemory();
}

public sealed class MemoryHubCaTests : HubCaContract
{
    protected override Task<TestApi> NewApi() => TestApi.InMemory();
}

public sealed class MemoryDeviceApiTests : DeviceApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InMemory();
}

public sealed class MemoryNetworkAndRouteApiTests : NetworkAndRouteApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InMemory();
}

public sealed class TableHubApiTests : HubApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InTables();
}

public sealed class TableHubCaTests : HubCaContract
{
    protected override Task<TestApi> NewApi() => TestApi.InTables();
}

public sealed class TableDeviceApiTests : DeviceApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InTables();
}

public sealed class TableNetworkAndRouteApiTests : NetworkAndRouteApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InTables();
}

public sealed class MemoryTwinApiTests : TwinApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InMemory();
}

public sealed class TableTwinApiTests : TwinApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InTables();
}

public sealed class MemoryMetricApiTests : MetricApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InMemory();
}

public sealed class TableMetricApiTests : MetricApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InTables();
}

public sealed class MemoryEventApiTests : EventApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InMemory();
}

public sealed class TableEventApiTests : EventApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InTables();
}

public sealed class MemoryRepeatedCreateTests : RepeatedCreateContract
{
    protected override Task<TestApi> NewApi() => TestApi.InMemory();
}

public sealed class TableRepeatedCreateTests : RepeatedCreateContract
{
    protected override Task<TestApi> NewApi() => TestApi.InTables();
}

public sealed class MemoryDeviceSearchTests : DeviceSearchContract
{
    protected override Task<TestApi> NewApi() => TestApi.InMemory();
}

public sealed class TableDeviceSearchTests : DeviceSearchContract
{
    protected override Task<TestApi> NewApi() => TestApi.InTables();
}

public sealed class MemoryDeviceBulkTests : DeviceBulkContract
{
    protected override Task<TestApi> NewApi() => TestApi.InMemory();
}

public sealed class TableDeviceBulkTests : DeviceBulkContract
{
    protected override Task<TestApi> NewApi() => TestApi.InTables();
}

public sealed class MemoryImportLineTests : ImportLineContract
{
    protected override Task<TestApi> NewApi() => TestApi.InMemory();
}

public sealed class TableImportLineTests : ImportLineContract
{
    protected override Task<TestApi> NewApi() => TestApi.InTables();
}
