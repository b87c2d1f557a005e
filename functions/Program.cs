using IotHub.Functions;
using IotHub.Functions.Hosting;

return args switch
{
    [] => await Serve(),
    ["functions-json", var directory] => WriteFunctionFolders(directory),
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

static int Usage()
{
    Console.Error.WriteLine("""
        usage:
          IotHub.Functions                       serve; started by the Azure Functions host
          IotHub.Functions functions-json DIR    write one DIR/<Function>/function.json per function
        """);
    return ExitCodes.Usage;
}
