namespace IotHub.Benchmarks.Load;

/// <summary><c>load</c>: one run against any broker, one JSON line.</summary>
internal static class LoadCommand
{
    private const int Unsound = 1;
    private const int Misused = 2;

    public static int Run(string[] args)
    {
        LoadOptions options;
        try
        {
            options = LoadOptions.Parse(args);
        }
        catch (ArgumentException e)
        {
            Console.Error.WriteLine($"load: {e.Message}\n{LoadOptions.Usage}");
            return Misused;
        }
        var result = LoadRun.Execute(options);
        Console.WriteLine(result.ToJson());
        return result.IsSound ? 0 : Unsound;
    }
}
