using IotHub.Core.Storage;
using IotHub.Core.Storage.Tables;
using IotHub.Functions;
using IotHub.Functions.Hosting;
using IotHub.Functions.Keys;

return args switch
{
    [] => await Serve(),
    ["functions-json", var directory] => WriteFunctionFolders(directory),
    ["keys", .. var command] => await Keys(command),
    _ => Usage(),
};

static async Task<int> Serve()
{
    try
    {
        var settings = FunctionsSettings.FromEnvironment();
        await using var app = FunctionsHost.Build(settings, services => services.AddAzureStorage(settings.Storage));
        await app.RunAsync();
        return ExitCodes.Stopped;
    }
    catch (Exception e) when (e is SettingsException or IOException)
    {
        await Console.Error.WriteLineAsync($"The function app cannot start: {e.Message}");
        return ExitCodes.Fatal;
    }
}

static int WriteFunctionFolders(string directory)
{
    FunctionFolders.Write(directory, FunctionList.All);
    return ExitCodes.CommandDone;
}

static async Task<int> Keys(string[] command)
{
    try
    {
        var account = StorageAccount.FromSettings(Environment.GetEnvironmentVariable);
        await account.EnsureCreated();
        return await new KeyCommands(new TableApiKeys(account.Tables()), TimeProvider.System, Console.Out, Console.Error).Run(command);
    }
    catch (Exception e) when (e is FormatException or RegistryUnavailableException)
    {
        await Console.Error.WriteLineAsync($"The keys cannot be reached: {e.Message}");
        return ExitCodes.Fatal;
    }
}

static int Usage()
{
    Console.Error.WriteLine("""
        usage:
          IotHub.Functions                       serve; started by the Azure Functions host
          IotHub.Functions functions-json DIR    write one DIR/<Function>/function.json per function
          IotHub.Functions keys ...              create, list and revoke API keys; says more without arguments
        """);
    return ExitCodes.Usage;
}
