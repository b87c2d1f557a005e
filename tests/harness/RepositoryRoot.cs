namespace IotHub.Harness;

/// <summary>The top folder of this checkout, found upwards from where the tests run.</summary>
public static class RepositoryRoot
{
    public static string Path { get; } = Find(AppContext.BaseDirectory);

    /// <summary>A file or folder of the checkout, for example <c>Combine("infra", "local")</c>.</summary>
    public static string Combine(params string[] parts) => System.IO.Path.Combine([Path, .. parts]);

    private static string Find(string from)
    {
        for (var folder = new DirectoryInfo(from); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "Serverless.sln")))
            {
                return folder.FullName;
            }
        }
        throw new InvalidOperationException($"no Serverless.sln in {from} or above it: the tests have to run inside a checkout");
    }
}
