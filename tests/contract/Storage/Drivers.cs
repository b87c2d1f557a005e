namespace IotHub.Contract.Storage;

public sealed class MemoryRegistryTests : RegistryContract
{
    protected override Task<Stores> NewStores() => Task.FromResult(Stores.InMemory(TimeProvider.System));
}

public sealed class MemoryDeviceTests : DeviceContract
{
    protected override Task<Stores> NewStores() => Task.FromResult(Stores.InMemory(TimeProvider.System));
}

public sealed class MemoryKeysAndChangesTests : KeysAndChangesContract
{
    protected override Task<Stores> NewStores(TimeProvider time) => Task.FromResult(Stores.InMemory(time));
}

public sealed class TableRegistryTests : RegistryContract
{
    protected override async Task<Stores> NewStores() => Stores.InTables(await Stores.NewAccount(), TimeProvider.System);
}

public sealed class TableDeviceTests : DeviceContract
{
    protected override async Task<Stores> NewStores() => Stores.InTables(await Stores.NewAccount(), TimeProvider.System);
}

public sealed class TableKeysAndChangesTests : KeysAndChangesContract
{
    protected override async Task<Stores> NewStores(TimeProvider time) => Stores.InTables(await Stores.NewAccount(), time);
}
