namespace IotHub.Local.Launch;

/// <summary>Where things are: the checkout that this launcher was built in, and the applications built with it.</summary>
public sealed record Checkout(string Root, string FunctionsFolder, string BrokerFolder)
{
    public string AzuriteFolder => Path.Combine(Root, "infra", "local", "azurite");
    public string DefaultDataFolder => Path.Combine(Root, ".data");
    public string FunctionsProgram => Program(FunctionsFolder, "IotHub.Functions");
    public string BrokerProgram => Program(BrokerFolder, "IotHub.Broker");

    /// <exception cref="LaunchException">It was not built as a whole, or was copied elsewhere.</exception>
    public static Checkout Find()
    {
        var own = AppContext.BaseDirectory;
        var folder = new DirectoryInfo(own);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Serverless.sln")))
        {
            folder = folder.Parent;
        }
        if (folder is null)
        {
            throw new LaunchException($"There is no checkout around {own}: start the launcher with dotnet run --project infra/local.");
        }
        var checkout = new Checkout(folder.FullName, Path.Combine(own, "app", "functions"), Path.Combine(own, "app", "broker"));
        foreach (var program in (string[])[checkout.FunctionsProgram, checkout.BrokerProgram])
        {
            if (!File.Exists(program))
            {
                throw new LaunchException(
                    $"{Path.GetFileName(program)} is missing beside the launcher: build it with dotnet build infra/local.");
            }
        }
        return checkout;
    }

    private static string Program(string folder, string name) => Path.Combine(folder, OperatingSystem.IsWindows() ? name + ".exe" : name);
}
